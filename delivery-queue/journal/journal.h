#pragma once

// The queue's journal (deep-structures 4): the one durable record of an accepted message. Narrow on purpose: in a
// cluster the same calls will go to the store's database.
// Invariants
//  1. A Put is answered only after its bytes and a commit mark behind them are on disk.
//  2. The newest Put of a key wins; a Done key never comes back.
//  3. A file is removed only when no live key's newest Put lies in it and no older file is left: what says that a key
//     is finished or has a newer record must outlive what it finished.
//  4. After a failed sync the file is never synced again: its pending callers fail, the next file begins.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/ids.h"

namespace posthorn::file {
class FileSystem;
}

namespace posthorn::delivery_queue {

inline constexpr uint32_t kJournalVersion = 1;

struct EntryKey {
  base::MessageId message;
  uint32_t part = 0;
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

class Journal {
 public:
  virtual ~Journal() = default;
  using Stored = std::function<void(absl::Status)>;
  // Makes `record` the newest of `key`. `stored` is posted to the loop once it is durable, in order; several that
  // share a commit come in one post. kResourceExhausted: disk full, nothing was kept.
  virtual void Put(EntryKey key, std::string record, Stored stored) = 0;
  // The key is finished. Rides in the next commit; with kSoon a commit starts within 10 ms.
  enum class Urgency { kRides, kSoon };
  virtual void Done(EntryKey key, Urgency urgency) = 0;
  // The newest record. Any thread; blocks for a file read. kNotFound when finished, kDataLoss when damaged.
  virtual absl::StatusOr<std::string> Read(EntryKey key) = 0;
  // At start, before the first Put: every live key with its newest record, in no order.
  virtual absl::Status ForEach(const std::function<void(EntryKey key, std::string record)>& visit) = 0;
  // 16 random bytes, made with the journal.
  virtual std::string id() const = 0;
  // Live bytes and file bytes, for metrics.
  struct Usage {
    uint64_t files = 0;
    uint64_t bytes = 0;
  };
  virtual Usage usage() const = 0;
};

}  // namespace posthorn::delivery_queue

template <>
struct std::hash<posthorn::delivery_queue::EntryKey> {
  size_t operator()(const posthorn::delivery_queue::EntryKey& key) const noexcept {
    return std::hash<posthorn::base::MessageId>()(key.message) ^ key.part * 0x9E3779B97F4A7C15U;
  }
};
