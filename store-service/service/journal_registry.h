#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::store_service {

// What the collector asks before it destroys bytes (deep-structures 3). On the store's loop.
class JournalRegistry {
 public:
  virtual ~JournalRegistry() = default;
  // Those of `keys` that some registered journal still holds, sorted. kUnavailable: a registered
  // journal does not answer, and nothing may be destroyed; the message names it.
  virtual net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) = 0;
  // When the oldest message was made that some registered journal still has to finish, in
  // milliseconds since 1970 (INT64_MAX: none): delivery ids from then on must be kept. kUnavailable
  // as above: nothing may be forgotten.
  virtual net::Task<absl::StatusOr<int64_t>> OldestUnfinishedMs() = 0;
  // Descriptions of registered journals that are not connected now.
  virtual std::vector<std::string> Silent() const = 0;
};

}  // namespace posthorn::store_service
