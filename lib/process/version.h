#pragma once

#include <string_view>

namespace posthorn::process {

// The release, "0.1.0".
std::string_view Version();

}  // namespace posthorn::process
