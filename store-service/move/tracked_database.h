#pragma once

// A mail database that can be copied elsewhere while it is used: remembers which rows were written
// since, and can be closed for writing. Costs a look at a flag while nothing is copied.

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "store-service/database/forwarding_database.h"
#include "store-service/move/tables.h"

namespace posthorn::store_service {

// Rows of one table: `where` is SQL that both engines read.
struct MoveKey {
  const MoveTable* table;
  uint64_t lead;  // the value of the table's lead column
  std::string where;
  friend bool operator<(const MoveKey& a, const MoveKey& b) {
    return std::tie(a.table, a.lead, a.where) < std::tie(b.table, b.lead, b.where);
  }
};
using MoveKeys = std::set<MoveKey>;

// Invariants:
//  1. A key is noted before its rows are written, and not taken while they are being written.
//  2. While it tracks, nothing is erased or collected: those calls fail with kUnavailable and are
//     made again later by who made them. Every write but the lanes' is a batch.
class TrackedDatabase final : public ForwardingDatabase<Database> {
 public:
  explicit TrackedDatabase(std::unique_ptr<Database> database)
      : ForwardingDatabase(*database), database_(std::move(database)) {}

  // Any thread. Close() returns when nobody writes any more; until Open() writes fail with `why`.
  void Track();
  void Forget();  // tracks no more
  MoveKeys TakeWritten();
  size_t written() const;
  void Close(absl::Status why);
  void Open();
  // Told with the database's own warnings from now on; "": nothing.
  void SetWarning(std::string warning);

  absl::Status Commit(const Fence& fence, const WriteBatch& batch) override;
  absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner,
                                      int64_t lease_ms) override;
  absl::StatusOr<bool> PruneDeliveries(const Fence& fence, int64_t before_ms,
                                       uint32_t limit) override;
  absl::StatusOr<bool> PruneExpunges(const Fence& fence, int64_t before_ms,
                                     uint32_t limit) override;
  absl::StatusOr<bool> PurgeDropped(const Fence& fence, uint32_t limit) override;
  absl::StatusOr<bool> EraseAccount(const Fence& fence, AccountId account, int64_t now_ms,
                                    uint32_t limit) override;
  absl::Status PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) override;
  absl::Status Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                       int64_t now_ms) override;
  absl::Status MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                             int64_t now_ms, int64_t keep_ms) override;
  absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() override {
    return database_->OpenSnapshot();
  }
  std::vector<std::string> Warnings() override;
  DatabaseServer Server() override { return database_->Server(); }

 private:
  absl::Status Collecting() const;
  void Note(const WriteBatch& batch);

  const std::unique_ptr<Database> database_;
  mutable std::mutex mutex_;  // held while something is written
  bool tracking_ = false;
  absl::Status closed_;
  std::string warning_;
  MoveKeys keys_;
};

}  // namespace posthorn::store_service
