#pragma once

// Whether the ports are free, before anything is started.

#include <chrono>
#include <vector>

#include "absl/status/status.h"
#include "admin-service/up/layout.h"

namespace posthorn::up {

// Binds each for a moment; one that is taken is waited for up to `patience`. kFailedPrecondition
// names the first that cannot be had, why, and what to do about it. Blocks.
absl::Status CheckPorts(const Options& options, const std::vector<WantedPort>& ports,
                        std::chrono::milliseconds patience);

}  // namespace posthorn::up
