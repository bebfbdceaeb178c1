#pragma once

// System flags as the bits the store uses, and keywords ([RFC9051 2.3.2]).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "imap-gateway/protocol/scanner.h"

namespace posthorn::imap_gateway {

// posthorn.store.v1.SystemFlag.
enum : uint8_t { kSeen = 1, kAnswered = 2, kFlagged = 4, kDeleted = 8, kDraft = 16 };
inline constexpr std::string_view kSystemFlags = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

struct FlagList {
  uint8_t system = 0;
  std::vector<std::string> keywords;
};

// The bit of "\Seen" …; nothing for other names.
std::optional<uint8_t> SystemFlagBit(std::string_view flag);
// flag-list, or flags without parentheses when `bare` (STORE). \Recent is dropped; other unknown
// system flags are kInvalidArgument, and so are keywords longer than 100 bytes or more than 128 of
// them.
enum class Parentheses { kRequired, kOptional };
absl::StatusOr<FlagList> ParseFlagList(Scanner& scan, Parentheses parentheses);

// Bits 0-63 and 64-127 of a row's keywords.
struct KeywordBits {
  uint64_t low = 0;
  uint64_t high = 0;
  bool Has(size_t n) const { return ((n < 64 ? low >> n : high >> (n - 64)) & 1) != 0; }
  bool any() const { return (low | high) != 0; }
  friend bool operator==(const KeywordBits&, const KeywordBits&) = default;
};

// "\Seen $Forwarded", without parentheses.
void AppendFlags(std::string& out, uint8_t system, KeywordBits keywords,
                 const std::vector<std::string>& keyword_names);

}  // namespace posthorn::imap_gateway
