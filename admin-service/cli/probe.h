#pragma once

#include "absl/status/status.h"
#include "admin-service/cli/arguments.h"

namespace posthorn::cli {

inline constexpr char kProbeUsage[] = "probe HOST:PORT [readyz|livez]";

// Asks a process's health port: what a container's health check runs where there is no shell and no
// curl. kFailedPrecondition says what is missing, kUnavailable that nobody answers. At most 5 s.
absl::Status ProbeCommand(const Arguments& arguments);

}  // namespace posthorn::cli
