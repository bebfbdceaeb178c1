#pragma once

// The files that a power loss after the first `count` operations of a log could leave. Tests only.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/file/recorder.h"

namespace posthorn::file {

enum class Unsynced {
  kDropped,  // neither bytes nor names that were not synced
  kKept,     // everything: the process was killed, the machine went on
  kMixed,    // seeded: of each file's unsynced writes some 512-byte sectors, of each directory's
             // names some
};

struct PowerLoss {
  uint64_t count = 0;  // operations that happened
  Unsynced unsynced = Unsynced::kDropped;
  uint64_t seed = 0;  // for kMixed
};

// Writes the files into `directory`, which must exist and be empty.
absl::Status Materialise(const std::vector<Operation>& log, const PowerLoss& loss,
                         const std::string& directory);

// The texts of the marks among the first `count` operations.
std::vector<std::string> MarksBefore(const std::vector<Operation>& log, uint64_t count);
// The names of all syncs in the log.
std::set<std::string> SyncNames(const std::vector<Operation>& log);

}  // namespace posthorn::file
