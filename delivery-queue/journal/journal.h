#pragma once

// The queue's journal (deep-structures 4): the one durable record of an accepted message. Two of them: files of this
// machine (local_journal.h), or rows of the store's database (store_journal.h), which outlive it. On the loop.
// Invariants
//  1. A Put is answered only after its bytes and a commit mark behind them are on disk.
//  2. The newest Put of a key wins; a Done key never comes back.
//  3. (files) A file is removed only when no live key's newest Put lies in it and no older file is left: what says that a key
//     is finished or has a newer record must outlive what it finished.
//  4. (files) After a failed sync the file is never synced again: its pending callers fail, the next file begins.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/ids.h"
#include "lib/net/task.h"

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
  // Makes `record` the newest of `key`; it refers to the bytes of `blob`. `stored` is posted to the loop once it is
  // durable, in order; several that share a commit come in one post. kResourceExhausted: disk full, nothing was kept.
  virtual void Put(EntryKey key, uint64_t blob, std::string record, Stored stored) = 0;
  // As Put, for an entry nobody was told of yet: better refused now than stored late.
  virtual void PutNew(EntryKey key, uint64_t blob, std::string record, Stored stored) {
    Put(key, blob, std::move(record), std::move(stored));
  }
  // The key is finished. Rides in the next commit; with kSoon a commit starts within 10 ms.
  enum class Urgency { kRides, kSoon };
  virtual void Done(EntryKey key, Urgency urgency) = 0;
  // The newest record. kNotFound when finished, kDataLoss when damaged.
  virtual net::Task<absl::StatusOr<std::string>> Read(EntryKey key) = 0;
  using Visit = std::function<void(EntryKey key, std::string record)>;
  // At start, before the first Put: every live key with its newest record, in no order.
  virtual net::Task<absl::Status> ForEach(Visit visit) = 0;
  // 16 random bytes, made with the journal.
  virtual std::string id() const = 0;
  // Live bytes and file bytes, for metrics.
  struct Usage {
    uint64_t files = 0;
    uint64_t bytes = 0;
  };
  virtual Usage usage() const = 0;

  // What only a journal has that others may take over (store_journal.h).
  // OK while new entries have a chance to be stored.
  virtual absl::Status Ready() const { return absl::OkStatus(); }
  // How long nobody else can have its entries, at least.
  virtual std::chrono::milliseconds LeaseLeft() const { return std::chrono::milliseconds::max(); }
  // The last owner did not end in order: mail for other hosts may have been on its way.
  virtual bool interrupted() const { return false; }
  // Where entries of replicas that died go, from now on: `visit` for each, and `end` behind those of one replica.
  struct Heir {
    Visit visit;
    std::function<void(bool interrupted)> end;
  };
  virtual void SetHeir(Heir) {}
  // Writes what was handed in and lets go of the lease. The last call.
  virtual net::Task<void> Close() { co_return; }
};

}  // namespace posthorn::delivery_queue

template <>
struct std::hash<posthorn::delivery_queue::EntryKey> {
  size_t operator()(const posthorn::delivery_queue::EntryKey& key) const noexcept {
    return std::hash<posthorn::base::MessageId>()(key.message) ^ key.part * 0x9E3779B97F4A7C15U;
  }
};
