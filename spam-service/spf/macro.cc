#include "spam-service/spf/macro.h"

#include <algorithm>
#include <vector>

#include "lib/base/strings.h"

namespace posthorn::spam_service {
namespace {

constexpr size_t kMaxDomain = 253;
constexpr size_t kMaxText = 4096;  // of an expanded explanation
constexpr std::string_view kDelimiters = ".-+,/_=";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return base::ToLower(c) >= 'a' && base::ToLower(c) <= 'z'; }

// macro-expand = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"
struct Macro {
  char letter = 0;      // 0: `literal` stands for itself
  bool escape = false;  // upper case letter
  bool reverse = false;
  size_t labels = 0;  // 0: all
  std::string_view delimiters = ".";
  std::string_view literal;
};

// Reads "{…}" behind a "%"; `text` starts with the brace and loses what was read.
std::optional<Macro> ParseBraces(std::string_view& text, std::string_view letters) {
  const size_t end = text.find('}');
  if (end == std::string_view::npos || end < 2) return {};
  std::string_view inside = text.substr(1, end - 1);
  Macro macro;
  macro.letter = base::ToLower(inside.front());
  macro.escape = macro.letter != inside.front();
  if (letters.find(macro.letter) == std::string_view::npos) return {};
  inside.remove_prefix(1);
  size_t digits = 0;
  while (digits < inside.size() && IsDigit(inside[digits])) ++digits;
  if (digits > 0) {
    macro.labels =
        base::ParseInt<uint32_t>(inside.substr(0, std::min<size_t>(digits, 9))).value_or(0);
    if (macro.labels == 0) return {};  // [RFC7208 7.1] must be nonzero
    inside.remove_prefix(digits);
  }
  if (!inside.empty() && base::ToLower(inside.front()) == 'r') {
    macro.reverse = true;
    inside.remove_prefix(1);
  }
  if (inside.find_first_not_of(kDelimiters) != std::string_view::npos) return {};
  if (!inside.empty()) macro.delimiters = inside;
  text.remove_prefix(end + 1);
  return macro;
}

// `text` starts with "%".
std::optional<Macro> ParseMacro(std::string_view& text, std::string_view letters) {
  if (text.size() < 2) return {};
  Macro macro;
  switch (text[1]) {
    case '%':
      macro.literal = "%";
      break;
    case '_':
      macro.literal = " ";
      break;
    case '-':
      macro.literal = "%20";
      break;
    case '{':
      text.remove_prefix(1);
      return ParseBraces(text, letters);
    default:
      return {};
  }
  text.remove_prefix(2);
  return macro;
}

constexpr std::string_view kRecordLetters = "slodiphv";
constexpr std::string_view kTextLetters = "slodiphvcrt";

// Calls `literal` with runs of literal text and `macro` with macros, in order; false for malformed
// text.
template <class OnLiteral, class OnMacro>
bool Walk(std::string_view text, std::string_view letters, OnLiteral literal, OnMacro macro) {
  while (!text.empty()) {
    const std::string_view plain = text.substr(0, text.find('%'));
    if (!plain.empty()) literal(plain);
    text.remove_prefix(plain.size());
    if (text.empty()) break;
    const std::optional<Macro> parsed = ParseMacro(text, letters);
    if (!parsed) return false;
    macro(*parsed);
  }
  return true;
}

// [RFC7208 7.3] IPv4 dotted, IPv6 as 32 nibbles with dots.
std::string DottedAddress(const net::Address& address) {
  if (address.is_v4) return net::FormatV4(address.bytes.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : address.bytes)
    base::StrAppend(out, out.empty() ? "" : ".", kDigits[byte >> 4], '.', kDigits[byte & 15]);
  return out;
}

std::string Value(char letter, const MacroValues& values) {
  switch (letter) {
    case 's':
      return values.sender;
    case 'l':
      return values.local;
    case 'o':
      return values.origin;
    case 'd':
      return values.domain;
    case 'i':
      return DottedAddress(values.client);
    case 'p':
      return values.validated;
    case 'v':
      return values.client.is_v4 ? "in-addr" : "ip6";
    case 'h':
      return values.helo;
    case 'c':
      return values.client.is_v4 ? net::FormatV4(values.client.bytes.data())
                                 : net::FormatV6(values.client.bytes.data());
    case 'r':
      return values.receiver.empty() ? "unknown" : values.receiver;
    case 't':
      return base::StrCat(values.now);
    default:
      return {};
  }
}

// Splits, reverses, keeps the rightmost labels, joins with dots. [RFC7208 7.3]
std::string Transform(const Macro& macro, std::string_view value) {
  std::vector<std::string> parts(1);
  for (const char c : value) {
    if (macro.delimiters.find(c) == std::string_view::npos) {
      parts.back().push_back(c);
    } else {
      parts.emplace_back();
    }
  }
  if (macro.reverse) std::ranges::reverse(parts);
  if (macro.labels > 0 && macro.labels < parts.size())
    parts.erase(parts.begin(), parts.end() - static_cast<ptrdiff_t>(macro.labels));
  return base::Join(parts, ".");
}

// [RFC3986 2.3] everything but unreserved characters.
std::string UrlEscape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      base::StrAppend(out, '%', base::Upper(base::Hex({&c, 1})));
    }
  }
  return out;
}

std::optional<std::string> Expand(std::string_view text, std::string_view letters,
                                  const MacroValues& values) {
  std::string out;
  const bool valid = Walk(
      text, letters, [&out](std::string_view plain) { out.append(plain); },
      [&out, &values](const Macro& macro) {
        if (macro.letter == 0) {
          out.append(macro.literal);
          return;
        }
        const std::string value = Transform(macro, Value(macro.letter, values));
        out.append(macro.escape ? UrlEscape(value) : value);
      });
  if (!valid) return {};
  return out;
}

// toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )
bool IsTopLabel(std::string_view label) {
  const auto alphanum = [](char c) { return IsAlpha(c) || IsDigit(c); };
  if (label.empty() || !alphanum(label.front()) || !alphanum(label.back())) return false;
  if (!std::ranges::all_of(label, [&](char c) { return alphanum(c) || c == '-'; })) return false;
  return !std::ranges::all_of(label, IsDigit);
}

}  // namespace

bool IsMacroString(std::string_view text) {
  bool visible = true;
  const bool valid = Walk(
      text, kRecordLetters,
      [&visible](std::string_view plain) {
        visible = visible && std::ranges::all_of(plain, [](char c) { return c > ' ' && c < 0x7f; });
      },
      [](const Macro&) {});
  return valid && visible;
}

bool IsDomainSpec(std::string_view text) {
  if (text.empty() || !IsMacroString(text)) return false;
  // Where the last macro ends is where a literal top label could begin.
  size_t tail = 0;
  bool ends_with_macro = false;
  Walk(
      text, kRecordLetters,
      [&](std::string_view plain) {
        tail = static_cast<size_t>(plain.data() - text.data());
        ends_with_macro = false;
      },
      [&](const Macro&) { ends_with_macro = true; });
  if (ends_with_macro) return true;
  std::string_view end = text.substr(tail);
  if (end.ends_with('.')) end.remove_suffix(1);
  const size_t dot = end.rfind('.');
  return dot != std::string_view::npos && IsTopLabel(end.substr(dot + 1));
}

bool UsesValidatedName(std::string_view text) {
  bool used = false;
  Walk(
      text, kTextLetters, [](std::string_view) {},
      [&used](const Macro& macro) { used = used || macro.letter == 'p'; });
  return used;
}

std::string ExpandDomain(std::string_view spec, const MacroValues& values) {
  std::string name = Expand(spec, kRecordLetters, values).value_or("");
  if (name.ends_with('.')) name.pop_back();
  while (name.size() > kMaxDomain) {  // [RFC7208 7.3]
    const size_t dot = name.find('.');
    name.erase(0, dot == std::string::npos ? name.size() : dot + 1);
  }
  return name;
}

std::optional<std::string> ExpandText(std::string_view text, const MacroValues& values) {
  std::optional<std::string> out = Expand(text, kTextLetters, values);
  if (out && out->size() > kMaxText) out->resize(kMaxText);
  return out;
}

}  // namespace posthorn::spam_service
