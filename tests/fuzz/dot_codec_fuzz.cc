// Decoding is the same however the bytes are cut; encoding then decoding gives the message back.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "lib/mail/dot_codec.h"

namespace {

using namespace posthorn::mail;

std::string Decode(std::string_view text, size_t chunk, BareNewlines newlines) {
  DotDecoder decoder(newlines);
  std::string out;
  for (size_t at = 0; at < text.size() && !decoder.done(); at += chunk) {
    std::vector<std::string_view> views;
    const std::string piece(text.substr(at, chunk));
    decoder.Decode(piece, views);
    for (const std::string_view view : views) out += view;
  }
  out += decoder.done() ? " done" : " more";
  if (decoder.has_bare_cr()) out += " cr";
  if (decoder.has_bare_lf()) out += " lf";
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const BareNewlines newlines : {BareNewlines::kKeep, BareNewlines::kMakeCrlf}) {
    const std::string whole = Decode(text, size + 1, newlines);
    if (Decode(text, 1, newlines) != whole || Decode(text, 3, newlines) != whole) std::abort();
  }
  DotEncoder encoder;
  std::string wire;
  encoder.Encode(text.substr(0, size / 2), wire);
  encoder.Encode(text.substr(size / 2), wire);
  encoder.Finish(wire);
  DotDecoder decoder;
  std::vector<std::string_view> views;
  if (decoder.Decode(wire, views) != wire.size() || !decoder.done()) std::abort();
  std::string content;
  for (const std::string_view view : views) content += view;
  if (!content.starts_with(text) || content.size() > size + 2) std::abort();
  return 0;
}
