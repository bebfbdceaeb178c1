#include "imap-gateway/protocol/mailbox_name.h"

#include <algorithm>
#include <cstdint>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

// The code point at `at`, which moves behind it; nothing when the bytes are not UTF-8.
std::optional<uint32_t> NextCodePoint(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at++);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  if (lead < 0xc2 || lead > 0xf4) return {};
  uint32_t point = lead & (0x3f >> more);
  for (int i = 0; i < more; ++i) {
    if (at == text.size() || (byte(at) & 0xc0) != 0x80) return {};
    point = point << 6 | (byte(at++) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (point < kLeast[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return {};
  return point;
}

void AppendUtf8(std::string& out, uint32_t point) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
  }
  put(0x80 | (point & 0x3f));
}

// The UTF-16 units of one base64 run; false on anything malformed.
bool DecodeRun(std::string_view run, std::string& out) {
  uint32_t bits = 0;
  int have = 0;
  uint32_t high = 0;
  for (const char c : run) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    have += 6;
    if (have < 16) continue;
    have -= 16;
    const uint32_t unit = bits >> have & 0xffff;
    bits &= (1U << have) - 1;
    const bool low = unit >= 0xdc00 && unit < 0xe000;
    if (low != (high != 0)) return false;
    if (low) {
      AppendUtf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
      high = 0;
    } else if (unit >= 0xd800 && unit < 0xdc00) {
      high = unit;
    } else {
      AppendUtf8(out, unit);
    }
  }
  return high == 0 && have < 6 && bits == 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();)
    if (!NextCodePoint(text, at)) return false;
  return true;
}

std::optional<std::string> DecodeModifiedUtf7(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '&') {
      out.push_back(text[at]);
      continue;
    }
    const size_t end = text.find('-', at);
    if (end == std::string_view::npos) return {};
    const std::string_view run = text.substr(at + 1, end - at - 1);
    if (run.empty()) {
      out.push_back('&');
    } else if (!DecodeRun(run, out)) {
      return {};
    }
    at = end;
  }
  if (!IsUtf8(out)) return {};
  return out;
}

std::string EncodeModifiedUtf7(std::string_view utf8) {
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  bool shifted = false;
  const auto put_unit = [&](uint32_t unit) {
    bits = bits << 16 | unit;
    have += 16;
    for (; have >= 6; have -= 6) out.push_back(kAlphabet[bits >> (have - 6) & 0x3f]);
    bits &= (1U << have) - 1;
  };
  const auto leave = [&] {
    if (!shifted) return;
    if (have > 0) out.push_back(kAlphabet[bits << (6 - have) & 0x3f]);
    out.push_back('-');
    bits = 0;
    have = 0;
    shifted = false;
  };
  for (size_t at = 0; at < utf8.size();) {
    const uint32_t point = NextCodePoint(utf8, at).value_or(0xfffd);
    if (point >= 0x20 && point < 0x7f) {
      leave();
      out.push_back(static_cast<char>(point));
      if (point == '&') out.push_back('-');
      continue;
    }
    if (!shifted) out.push_back('&');
    shifted = true;
    if (point >= 0x10000) {
      put_unit(0xd800 + ((point - 0x10000) >> 10));
      put_unit(0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      put_unit(point);
    }
  }
  leave();
  return out;
}

absl::StatusOr<std::string> ParseMailboxName(std::string_view wire) {
  std::optional<std::string> name = DecodeModifiedUtf7(wire);
  if (!name) return base::Invalid("mailbox name is not in modified UTF-7");
  if (name->size() > 1 && name->back() == kDelimiter) name->pop_back();
  if (name->empty()) return base::Invalid("empty mailbox name");
  if (name->size() > kMaxNameBytes) return base::Invalid("mailbox name too long");
  for (const char c : *name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return base::Invalid("control character in mailbox name");
  const std::vector<std::string_view> levels = base::Split(*name, kDelimiter);
  if (levels.size() > kMaxNameLevels) return base::Invalid("mailbox name too deep");
  for (const std::string_view level : levels)
    if (level.empty()) return base::Invalid("empty level in mailbox name");
  // [RFC9051 5.1] INBOX is the same in any case; so is the first level above its children.
  if (base::EqualsIgnoreCase(levels.front(), "INBOX")) name->replace(0, 5, "INBOX");
  return *std::move(name);
}

bool ListMatches(std::string_view pattern, std::string_view name) {
  std::string folded;
  if (base::StartsWithIgnoreCase(pattern, "INBOX") &&
      (pattern.size() == 5 || pattern[5] == kDelimiter)) {
    folded = base::StrCat("INBOX", pattern.substr(5));
    pattern = folded;
  }
  constexpr size_t kNone = std::string_view::npos;
  size_t p = 0;
  size_t n = 0;
  // Where to take up again after the last "*" and the last "%" behind it.
  size_t star_p = kNone, star_n = 0, percent_p = kNone, percent_n = 0;
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star_p = ++p;
      star_n = n;
      percent_p = kNone;
    } else if (p < pattern.size() && pattern[p] == '%') {
      percent_p = ++p;
      percent_n = n;
    } else if (p < pattern.size() && n < name.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (percent_p != kNone && percent_n < name.size() && name[percent_n] != kDelimiter) {
      n = ++percent_n;
      p = percent_p;
    } else if (star_p != kNone && star_n < name.size()) {
      n = ++star_n;
      p = star_p;
      percent_p = kNone;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace posthorn::imap_gateway
