#pragma once

// The rows' side of `store check`: counters against rows, rows against blobs.

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

struct RowFinding {
  std::string line;
  enum class Repaired { kNo, kYes } repaired = Repaired::kNo;
};

enum class Repair { kNo, kYes };

// Compares the counters of every account and mailbox with its rows and tells each difference; with
// Repair::kYes they are set right by operations on the lane. The number of messages looked at. On
// the loop.
net::Task<absl::StatusOr<uint64_t>> CheckCounters(LaneEngine& lanes, Repair repair,
                                                  std::function<void(RowFinding)> finding);

}  // namespace posthorn::store_service
