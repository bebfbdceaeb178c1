#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::store_service {

inline constexpr size_t kMaxMailboxName = 1000;  // bytes
inline constexpr size_t kMaxMailboxLevels = 32;

// The name as it is kept: INBOX in capitals, one trailing "/" taken off. kInvalidArgument: empty,
// empty levels, control characters, not UTF-8, too long or too deep.
absl::StatusOr<std::string> NormalName(std::string_view name);

}  // namespace posthorn::store_service
