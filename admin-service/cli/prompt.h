#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace posthorn::cli {

// Asks at the terminal without showing what is typed; without a terminal reads a line of standard
// input.
absl::StatusOr<std::string> AskPassword(const std::string& question);

}  // namespace posthorn::cli
