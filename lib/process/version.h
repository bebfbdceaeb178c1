#pragma once

#include <string_view>

namespace posthorn::process {

// The release, "0.2.0".
std::string_view Version();

}  // namespace posthorn::process
