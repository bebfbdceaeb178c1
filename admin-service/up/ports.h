#pragma once

// Whether the ports are free, before anything is started.

#include <vector>

#include "absl/status/status.h"
#include "admin-service/up/layout.h"

namespace posthorn::up {

// Binds each for a moment. kFailedPrecondition names the first that cannot be had, why, and what to
// do about it.
absl::Status CheckPorts(const Options& options, const std::vector<WantedPort>& ports);

}  // namespace posthorn::up
