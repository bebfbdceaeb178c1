#include "imap-gateway/protocol/flags.h"

#include <array>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kMaxKeywords = 128;
constexpr size_t kMaxKeywordBytes = 100;
struct Named {
  uint8_t bit;
  std::string_view name;
};
constexpr std::array<Named, 5> kNames = {{{kAnswered, "\\Answered"},
                                          {kFlagged, "\\Flagged"},
                                          {kDeleted, "\\Deleted"},
                                          {kSeen, "\\Seen"},
                                          {kDraft, "\\Draft"}}};

}  // namespace

std::optional<uint8_t> SystemFlagBit(std::string_view flag) {
  for (const Named& named : kNames)
    if (base::EqualsIgnoreCase(flag, named.name)) return named.bit;
  return {};
}

absl::StatusOr<FlagList> ParseFlagList(Scanner& scan, Parentheses parentheses) {
  FlagList list;
  const bool open = scan.Eat('(');
  if (!open && parentheses == Parentheses::kRequired) return scan.Fail("a list of flags");
  if (open && scan.Eat(')')) return list;
  do {
    ASSIGN_OR_RETURN(std::string flag, scan.Flag());
    if (flag[0] != '\\') {
      if (flag.size() > kMaxKeywordBytes || list.keywords.size() == kMaxKeywords)
        return base::Invalid("too many or too long keywords");
      list.keywords.push_back(std::move(flag));
    } else if (const auto bit = SystemFlagBit(flag)) {
      list.system |= *bit;
    } else if (!base::EqualsIgnoreCase(flag, "\\Recent")) {
      return base::Invalid(base::StrCat("unknown flag ", flag));
    }
  } while (scan.Eat(' '));
  if (open) RETURN_IF_ERROR(scan.Expect(')'));
  return list;
}

void AppendFlags(std::string& out, uint8_t system, KeywordBits keywords,
                 const std::vector<std::string>& keyword_names) {
  const size_t before = out.size();
  for (const Named& named : kNames) {
    if ((system & named.bit) == 0) continue;
    out.append(named.name);
    out.push_back(' ');
  }
  if (keywords.any()) {
    for (size_t i = 0; i < keyword_names.size() && i < kMaxKeywords; ++i) {
      if (!keywords.Has(i)) continue;
      out.append(keyword_names[i]);
      out.push_back(' ');
    }
  }
  if (out.size() > before) out.pop_back();
}

}  // namespace posthorn::imap_gateway
