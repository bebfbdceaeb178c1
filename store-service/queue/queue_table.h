#pragma once

// What lies in the journals of queues, as rows (part "queue"). Invariants:
//  1. Whatever is written begins with a guarded update of its journal's row: epoch and the batch
//     before. So a batch is there once or not at all, and nothing comes from an epoch that is over.
//  2. A record that is finished leaves no row.
// Blocks; belongs to one thread at a time.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "posthorn/store/v1/objects.pb.h"
#include "posthorn/store/v1/queue_journal.pb.h"
#include "store-service/database/sql/connection.h"
#include "store-service/queue/queue_leases.h"

namespace posthorn::store_service {

class QueueTable {
 public:
  // Of one connection.
  QueueTable(sql::Connection& db, QueueLeases& leases) : db_(db), leases_(leases) {}

  absl::StatusOr<store::v1::AppendQueueRecordsReply> Append(
      const store::v1::AppendQueueRecordsRequest& request);
  absl::StatusOr<store::v1::LoadQueueRecordsReply> Load(
      const store::v1::LoadQueueRecordsRequest& request);
  absl::StatusOr<store::v1::ReadQueueRecordReply> Read(
      const store::v1::ReadQueueRecordRequest& request);

  // Those of `blobs` that some record refers to.
  absl::StatusOr<std::vector<uint64_t>> Held(const std::vector<uint64_t>& blobs);
  // Of each journal: who has it, how much lies in it, how long its lease still runs.
  absl::StatusOr<std::vector<store::v1::StoreStatusReply::QueueJournal>> Summaries();
  // The oldest message id of all journals; nothing: they are empty.
  absl::StatusOr<std::optional<std::string>> Oldest();

 private:
  absl::Status Put(const store::v1::AppendQueueRecordsRequest& request);
  absl::Status Remove(std::string_view journal, const store::v1::QueueRecordKey& key);
  absl::Status Done(const store::v1::AppendQueueRecordsRequest& request);
  absl::Status Adopt(const store::v1::AppendQueueRecordsRequest& request);

  sql::Connection& db_;
  QueueLeases& leases_;
};

}  // namespace posthorn::store_service
