#pragma once

// The journals of queues as rows (part "queue"). Invariants:
//  1. Whatever is written begins with a guarded update of its journal's row: epoch and the batch
//     before. So a batch is there once or not at all, and nothing comes from an epoch that is over.
//  2. A journal is claimed by a guarded update of its epoch: by one replica.
//  3. A record that is finished leaves no row.
// Blocks; belongs to one thread at a time.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "posthorn/store/v1/objects.pb.h"
#include "posthorn/store/v1/queue_journal.pb.h"
#include "store-service/database/sql/connection.h"

namespace posthorn::store_service {

struct QueueLeaseTimes {
  // Long enough that a final dot sent with more than a minute left stays the usual case while the
  // database fails over; short enough that the mail of a replica that died moves on.
  int64_t lease_ms = 90'000;
  // How long a journal that was closed in order waits for its owner to come back.
  int64_t closed_ms = 20'000;
};

class QueueTable {
 public:
  explicit QueueTable(sql::Connection& db, QueueLeaseTimes times = {});

  absl::StatusOr<store::v1::OpenQueueJournalReply> Open(
      const store::v1::OpenQueueJournalRequest& request);
  absl::StatusOr<store::v1::AppendQueueRecordsReply> Append(
      const store::v1::AppendQueueRecordsRequest& request);
  absl::StatusOr<store::v1::LoadQueueRecordsReply> Load(
      const store::v1::LoadQueueRecordsRequest& request);
  absl::StatusOr<store::v1::ReadQueueRecordReply> Read(
      const store::v1::ReadQueueRecordRequest& request);
  absl::StatusOr<store::v1::RenewQueueLeaseReply> Renew(
      const store::v1::RenewQueueLeaseRequest& request);
  absl::StatusOr<store::v1::ClaimQueueJournalReply> Claim(
      const store::v1::ClaimQueueJournalRequest& request);

  // Those of `blobs` that some record refers to.
  absl::StatusOr<std::vector<uint64_t>> Held(const std::vector<uint64_t>& blobs);
  // Of each journal: who has it, how much lies in it, how long its lease still runs.
  absl::StatusOr<std::vector<store::v1::StoreStatusReply::QueueJournal>> Summaries();
  // The oldest message id of all journals; nothing: they are empty.
  absl::StatusOr<std::optional<std::string>> Oldest();

 private:
  struct Row {
    std::string id, owner, instance;
    int64_t epoch = 0, batch = 0, expires_ms = 0, beat = 0;
    bool closed = false;
    std::string address;  // of the owner's process
    int64_t since_ms = 0;
  };
  static absl::Status InUse(const Row& row);
  absl::StatusOr<std::optional<Row>> Find(std::string_view id);
  absl::StatusOr<std::vector<Row>> All();
  absl::StatusOr<int64_t> Now();
  absl::Status Take(const Row& row, std::string_view owner, std::string_view instance);
  absl::Status Hold(const store::v1::QueueLease& lease);
  absl::StatusOr<bool> Guard(const store::v1::AppendQueueRecordsRequest& request);
  absl::Status Put(const store::v1::AppendQueueRecordsRequest& request);
  absl::Status Remove(std::string_view journal, const store::v1::QueueRecordKey& key);
  absl::Status Done(const store::v1::AppendQueueRecordsRequest& request);
  absl::Status Adopt(const store::v1::AppendQueueRecordsRequest& request);

  sql::Connection& db_;
  const QueueLeaseTimes times_;
  const std::string now_, guard_, renew_, take_;  // statements with the database's clock
};

}  // namespace posthorn::store_service
