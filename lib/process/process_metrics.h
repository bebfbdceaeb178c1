#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/observe/metrics.h"

namespace posthorn::process {

// What the system knows of this process, read when somebody asks for /metrics: memory, files, CPU
// time, room on the disk of `data` (none when empty); and who it is.
void ShowProcess(std::string_view name, const std::string& data);

// In words, when less than a tenth of the disk under `path` is free; else empty.
std::string DiskProblem(const std::string& path);
std::string DiskProblem(const std::string& path, uint64_t free, uint64_t size);

// What only its own loop can say; set there.
struct LoopMetrics {
  LoopMetrics();
  observe::Gauge* ready;
  observe::Gauge* lag;
};

}  // namespace posthorn::process
