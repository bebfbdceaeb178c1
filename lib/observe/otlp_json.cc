#include "lib/observe/otlp_json.h"

#include "lib/base/strings.h"

namespace posthorn::observe {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void AppendHex(uint64_t value, std::string& out) {
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kHex[value >> shift & 15]);
}

std::string Hex(uint64_t value) {
  std::string out;
  AppendHex(value, out);
  return out;
}

// Bytes of the well-formed character at the front [RFC3629 4]; 0 when there is none.
size_t CharacterSize(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i)
    if (byte(i) >> 6 != 2) return 0;
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return size;
}

void AppendAttribute(std::string_view key, std::string_view value, std::string& out) {
  base::StrAppend(out, "{\"key\":", JsonString(key),
                  ",\"value\":{\"stringValue\":", JsonString(value), "}}");
}

void AppendSpan(const SpanRecord& span, std::string& out) {
  base::StrAppend(out, "{\"traceId\":\"", Hex(span.trace_high), Hex(span.trace_low),
                  "\",\"spanId\":\"", Hex(span.span), "\"");
  if (span.parent != 0) base::StrAppend(out, ",\"parentSpanId\":\"", Hex(span.parent), "\"");
  base::StrAppend(out, ",\"name\":", JsonString(span.name),
                  ",\"kind\":", static_cast<int>(span.kind), ",\"startTimeUnixNano\":\"",
                  span.start_us, "000\",\"endTimeUnixNano\":\"", span.end_us,
                  "000\",\"attributes\":[");
  for (size_t i = 0; i < span.attributes.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendAttribute(span.attributes[i].first, span.attributes[i].second, out);
  }
  out += "]";
  if (!span.error.empty())
    base::StrAppend(out, ",\"status\":{\"code\":2,\"message\":", JsonString(span.error), "}");
  out += "}";
}

}  // namespace

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const char c = text.front();
    if (size == 0) {
      out += kReplacement;
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  out.push_back('"');
  return out;
}

std::string SpansToJson(const TraceResource& resource, const std::vector<SpanRecord>& spans) {
  std::string out = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  AppendAttribute("service.name", resource.service, out);
  out.push_back(',');
  AppendAttribute("service.instance.id", resource.instance, out);
  out.push_back(',');
  AppendAttribute("service.version", resource.version, out);
  out += "]},\"scopeSpans\":[{\"scope\":{\"name\":\"posthorn\"},\"spans\":[";
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendSpan(spans[i], out);
  }
  out += "]}]}]}";
  return out;
}

}  // namespace posthorn::observe
