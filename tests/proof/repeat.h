#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/file/recorder.h"

namespace posthorn::proof {

// Does the first `count` operations of `log` once more, through `recorder`, whose root is `root`:
// what a kill at that moment leaves. The kernel has everything, the disk what was synced, and the
// recorder knows which is which. Marks come along.
absl::Status Repeat(const std::vector<file::Operation>& log, uint64_t count,
                    file::Recorder& recorder, const std::string& root);

}  // namespace posthorn::proof
