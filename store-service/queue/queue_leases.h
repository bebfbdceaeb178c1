#pragma once

// Whose journal is whose, and until when: the rows of queue_journal. Invariants:
//  1. A journal changes hands by a guarded update of its epoch: to one replica.
//  2. Leases are of the database's clock.
// Blocks; belongs to one thread at a time. What says that an epoch is over is kFailedPrecondition.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
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

struct QueueJournalRow {
  std::string id, owner, instance;
  int64_t epoch = 0, batch = 0, expires_ms = 0, beat = 0;
  bool closed = false;
  std::string address;  // of the owner's process
  int64_t since_ms = 0;
};

class QueueLeases {
 public:
  explicit QueueLeases(sql::Connection& db, QueueLeaseTimes times = {});

  absl::StatusOr<store::v1::OpenQueueJournalReply> Open(
      const store::v1::OpenQueueJournalRequest& request);
  absl::StatusOr<store::v1::RenewQueueLeaseReply> Renew(
      const store::v1::RenewQueueLeaseRequest& request);
  absl::StatusOr<store::v1::ClaimQueueJournalReply> Claim(
      const store::v1::ClaimQueueJournalRequest& request);

  // For what writes and reads records.
  static absl::Status Check(const store::v1::QueueLease& lease);  // its form
  // As sql::Transact, but what may have happened or lost is kUnavailable: the caller repeats it,
  // and the journal's row says what became of the first try.
  absl::Status Transact(const std::function<absl::Status()>& work);
  // Within a transaction that writes: renews the lease, and counts `batch`, which is to be written
  // now. False: it was written before.
  absl::StatusOr<bool> Advance(const store::v1::QueueLease& lease, uint64_t batch);
  // Within a transaction that writes: renews the lease.
  absl::Status Hold(const store::v1::QueueLease& lease);
  absl::StatusOr<QueueJournalRow> Find(const store::v1::QueueLease& lease);
  absl::StatusOr<std::vector<QueueJournalRow>> All();
  absl::StatusOr<int64_t> Now();  // milliseconds since 1970

 private:
  enum State { kOpen = 0, kClosed = 1 };
  static absl::Status InUse(const QueueJournalRow& row);
  static absl::StatusOr<std::vector<QueueJournalRow>> Read(sql::Cursor at);
  absl::Status RenewAs(State state, int64_t left_ms, const store::v1::QueueLease& lease);
  // Journals whose lease is over. What a claim of `owner` left half moved is its own, whenever it
  // asks.
  absl::StatusOr<std::vector<QueueJournalRow>> Claimable(const store::v1::QueueLease& lease,
                                                         std::string_view owner);
  absl::Status Take(const QueueJournalRow& row, std::string_view owner, std::string_view instance);

  sql::Connection& db_;
  const QueueLeaseTimes times_;
  // Statements, some with the database's clock.
  const std::string now_, all_, one_, owned_, claimable_, guard_, renew_, take_;
};

}  // namespace posthorn::store_service
