#pragma once

// Executes write batches and lane updates on one connection. One thread.

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/sqlite/connection.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

class SqliteWriter {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteWriter>> Create(
      std::unique_ptr<sqlite::Connection> connection);

  absl::Status Commit(const Fence& fence, const WriteBatch& batch);
  absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner, int64_t lease_ms);
  absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms);
  absl::Status ReleaseLane(uint32_t lane, uint64_t epoch);
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
  absl::Status Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys, int64_t now_ms);
  absl::Status MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                             int64_t now_ms, int64_t keep_ms);
  sqlite::Connection& connection() { return *connection_; }

 private:
  struct Statements;
  SqliteWriter(std::unique_ptr<sqlite::Connection> connection,
               std::unique_ptr<Statements> statements);

 public:
  ~SqliteWriter();

 private:
  absl::Status CheckFence(const Fence& fence);
  absl::Status RefuseCondemned(const WriteBatch& batch);
  absl::Status WriteAccounts(const WriteBatch& batch);
  absl::Status WriteBodies(const WriteBatch& batch);
  absl::Status WriteMessages(const WriteBatch& batch);
  absl::Status WriteChanges(const WriteBatch& batch);
  absl::Status WriteExpunges(const WriteBatch& batch);
  absl::Status WriteMarks(const WriteBatch& batch);
  absl::Status DeleteMailboxes(const WriteBatch& batch);
  absl::StatusOr<bool> Prune(const Fence& fence, sqlite::Statement& statement, int64_t before_ms,
                             uint32_t limit);

  // The statements go before the connection they belong to.
  std::unique_ptr<sqlite::Connection> connection_;
  std::unique_ptr<Statements> statements_;
};

}  // namespace posthorn::store_service
