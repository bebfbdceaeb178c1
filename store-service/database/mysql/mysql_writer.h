#pragma once

// Executes write batches and lane updates on one connection. One thread. Each call is one
// transaction that begins with the fence; when it loses against another (deadlock, lock time-out,
// certification) or its link breaks before COMMIT, the whole is run again a few times.

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/database.h"
#include "store-service/database/mysql/connection.h"

namespace posthorn::store_service {

class MysqlWriter {
 public:
  explicit MysqlWriter(std::unique_ptr<mysql::Connection> connection);
  // Where it writes, or wrote last. Any thread.
  const mysql::Host& host() const { return connection_->host(); }

  absl::Status Commit(const Fence& fence, const WriteBatch& batch);
  absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner, int64_t lease_ms);
  absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms);
  absl::Status ReleaseLane(uint32_t lane, uint64_t epoch);
  // Writes to the row before it reads it. Who asks whether a COMMIT happened whose answer was lost
  // must not be told "no" while that COMMIT may still be on its way: after this write it either
  // came before, and is seen, or it fails (by the row's lock on one server, by certification on
  // Galera).
  absl::StatusOr<LaneRow> ReadLane(uint32_t lane);
  absl::StatusOr<ClusterRows> Beat(const ReplicaRow& me);
  absl::Status TakeName(const ReplicaRow& me, const ReplicaRow& last);
  absl::Status Leave(const ReplicaRow& me);
  absl::StatusOr<bool> PruneDeliveries(const Fence& fence, int64_t before_ms, uint32_t limit);
  absl::StatusOr<bool> PruneExpunges(const Fence& fence, int64_t before_ms, uint32_t limit);
  absl::StatusOr<bool> PurgeDropped(const Fence& fence, uint32_t limit);
  absl::StatusOr<bool> EraseAccount(const Fence& fence, AccountId account, int64_t now_ms,
                                    uint32_t limit);
  absl::Status PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows);
  // Writes to all lanes' rows: a batch that looked for the condemned before this must not commit
  // after it.
  absl::Status Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys, int64_t now_ms);
  absl::Status MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                             int64_t now_ms, int64_t keep_ms);

 private:
  // Whether a COMMIT whose answer was lost may simply be repeated with all before it.
  enum class Repeat { kNever, kAfterUnknown };
  absl::Status Transact(Repeat repeat, const std::function<absl::Status()>& body);
  absl::Status CheckFence(const Fence& fence);
  absl::Status WriteBatchUnder(const Fence& fence, const WriteBatch& batch);

  std::unique_ptr<mysql::Connection> connection_;
};

}  // namespace posthorn::store_service
