// Encoded words and body decoders: always valid UTF-8 out, the same however the bytes are cut.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/mail/utf8.h"
#include "lib/mime/decode.h"
#include "lib/mime/encoded_word.h"
#include "lib/mime/preview.h"
#include "lib/mime/subject.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace posthorn::mime;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!posthorn::mail::IsUtf8(DecodeWords(text))) std::abort();
  ExtractBaseSubject(text);
  StripHtml(text);
  const std::string encoded = EncodeWords(text);
  if (posthorn::mail::IsUtf8(text) && encoded != text && DecodeWords(encoded) != text) std::abort();
  for (const auto encoding : {TransferEncoding::kBase64, TransferEncoding::kQuotedPrintable}) {
    BodyDecoder decoder(encoding);
    std::string out;
    for (const char c : text) decoder.Decode(std::string_view(&c, 1), out);
    decoder.Finish(out);
    if (out != DecodeBody(text, encoding)) std::abort();
  }
  return 0;
}
