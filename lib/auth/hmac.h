#pragma once

#include <string>
#include <string_view>

namespace posthorn::auth {

// 32 raw bytes each.
std::string HmacSha256(std::string_view key, std::string_view text);
std::string Sha256(std::string_view text);
// In constant time for equal lengths.
bool SameBytes(std::string_view a, std::string_view b);

}  // namespace posthorn::auth
