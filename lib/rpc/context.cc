#include "lib/rpc/context.h"

#include <openssl/rand.h>

#include <cstring>
#include <optional>

#include "lib/base/strings.h"

namespace posthorn::rpc {
namespace {

uint64_t NewId() {
  uint64_t id = 0;
  while (id == 0) RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof(id));
  return id;
}

void AppendHex(std::string& out, uint64_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    out.push_back("0123456789abcdef"[value >> shift & 15]);
  }
}

// Lower case only [trace-context 3.2.2.1].
std::optional<uint64_t> TakeHex(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return {};
    value = value << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace

TraceContext TraceContext::NewRoot(bool sampled) {
  TraceContext trace;
  trace.trace_high = NewId();
  trace.trace_low = NewId();
  trace.span = NewId();
  trace.sampled = sampled;
  return trace;
}

TraceContext TraceContext::Child() const {
  TraceContext child = *this;
  child.span = NewId();
  return child;
}

TraceContext TraceContext::Parse(std::string_view text) {
  // version "-" trace-id "-" parent-id "-" trace-flags; later versions may append fields after
  // another "-".
  if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  const auto version = TakeHex(text.substr(0, 2));
  if (!version || *version == 255) return {};
  if (text.size() > 55 && (*version == 0 || text[55] != '-')) return {};
  const auto high = TakeHex(text.substr(3, 16));
  const auto low = TakeHex(text.substr(19, 16));
  const auto span = TakeHex(text.substr(36, 16));
  const auto flags = TakeHex(text.substr(53, 2));
  if (!high || !low || !span || !flags || (*high | *low) == 0 || *span == 0) return {};
  TraceContext trace;
  trace.trace_high = *high;
  trace.trace_low = *low;
  trace.span = *span;
  trace.sampled = (*flags & 1) != 0;
  return trace;
}

std::string TraceContext::ToString() const {
  std::string text = "00-";
  AppendHex(text, trace_high, 16);
  AppendHex(text, trace_low, 16);
  text.push_back('-');
  AppendHex(text, span, 16);
  text.append(sampled ? "-01" : "-00");
  return text;
}

}  // namespace posthorn::rpc
