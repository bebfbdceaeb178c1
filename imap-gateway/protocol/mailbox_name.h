#pragma once

// Mailbox names: modified UTF-7 on the wire, UTF-8 inside, levels separated by "/".

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::imap_gateway {

inline constexpr char kDelimiter = '/';
// Bytes of a whole name in UTF-8, and levels.
inline constexpr size_t kMaxNameBytes = 1000;
inline constexpr size_t kMaxNameLevels = 32;

bool IsUtf8(std::string_view text);
// [RFC3501 5.1.3]; nothing when `text` is not valid modified UTF-7. Raw UTF-8 is let through, as
// many clients send it.
std::optional<std::string> DecodeModifiedUtf7(std::string_view text);
// `utf8` must be valid.
std::string EncodeModifiedUtf7(std::string_view utf8);

// From the wire to the store's form: decoded, INBOX in capitals ([RFC9051 5.1]), one trailing
// delimiter dropped. kInvalidArgument for bad encoding, control characters, empty levels, or a name
// beyond the limits.
absl::StatusOr<std::string> ParseMailboxName(std::string_view wire);

// A LIST pattern against a name, both UTF-8: "*" matches everything, "%" everything but the
// delimiter
// ([RFC9051 6.3.9]); INBOX without regard to case. Time is bounded by the product of both lengths.
bool ListMatches(std::string_view pattern, std::string_view name);

}  // namespace posthorn::imap_gateway
