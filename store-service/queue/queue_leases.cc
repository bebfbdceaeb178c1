#include "store-service/queue/queue_leases.h"

#include <openssl/rand.h>

#include "lib/base/strings.h"
#include "store-service/database/utc_text.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kIdBytes = 16;
constexpr std::string_view kRows =
    "SELECT id,owner,instance,epoch,batch,expires_ms,beat,closed,address,since_ms"
    " FROM queue_journal";

absl::Status EpochOver() { return base::Precondition("this epoch of the journal is over"); }

std::string NewId() {
  std::string id(kIdBytes, '\0');
  RAND_bytes(reinterpret_cast<uint8_t*>(id.data()), kIdBytes);
  return id;
}

}  // namespace

QueueLeases::QueueLeases(sql::Connection& db, QueueLeaseTimes times)
    : db_(db),
      times_(times),
      now_(base::StrCat("SELECT ", db.clock_ms())),
      all_(base::StrCat(kRows, " ORDER BY id")),
      one_(base::StrCat(kRows, " WHERE id=?1")),
      owned_(base::StrCat(kRows, " WHERE owner=?1 ORDER BY id")),
      claimable_(base::StrCat(kRows, " WHERE id<>?1 AND (owner=?2 OR expires_ms<", db.clock_ms(),
                              ") ORDER BY id")),
      guard_(base::StrCat("UPDATE queue_journal SET batch=?1,beat=beat+1,expires_ms=",
                          db.clock_ms(), "+?2 WHERE id=?3 AND epoch=?4 AND batch=?1-1")),
      renew_(base::StrCat("UPDATE queue_journal SET beat=beat+1,closed=?1,expires_ms=",
                          db.clock_ms(), "+?2 WHERE id=?3 AND epoch=?4")),
      take_(base::StrCat("UPDATE queue_journal SET owner=?1,instance=?2,epoch=epoch+1,"
                         "beat=beat+1,closed=0,expires_ms=",
                         db.clock_ms(), "+?3 WHERE id=?4 AND epoch=?5 AND beat=?6")) {}

absl::StatusOr<int64_t> QueueLeases::Now() { return db_.Integer(now_); }

absl::StatusOr<std::vector<QueueJournalRow>> QueueLeases::Read(sql::Cursor at) {
  std::vector<QueueJournalRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, at.Next());
    if (!more) return rows;
    rows.push_back({std::string(at.Text(0)), std::string(at.Text(1)), std::string(at.Text(2)),
                    at.Int(3), at.Int(4), at.Int(5), at.Int(6), at.Int(7) != 0,
                    std::string(at.Text(8)), at.Int(9)});
  }
}

absl::StatusOr<std::vector<QueueJournalRow>> QueueLeases::All() { return Read(db_.Query(all_)); }

absl::StatusOr<QueueJournalRow> QueueLeases::Find(const v1::QueueLease& lease) {
  ASSIGN_OR_RETURN(std::vector<QueueJournalRow> rows,
                   Read(db_.Query(one_, sql::Bytes(lease.journal_id()))));
  if (rows.empty() || rows[0].epoch != static_cast<int64_t>(lease.epoch())) return EpochOver();
  return std::move(rows[0]);
}

absl::Status QueueLeases::Check(const v1::QueueLease& lease) {
  return lease.journal_id().size() == kIdBytes ? absl::OkStatus()
                                               : base::Invalid("a journal id has 16 bytes");
}

absl::Status QueueLeases::Transact(const std::function<absl::Status()>& work) {
  const absl::Status status = sql::Transact(db_, work);
  const bool again = status.code() == absl::StatusCode::kUnknown || absl::IsAborted(status);
  return again ? base::Unavailable(base::Message(status)) : status;
}

// Gives a journal as it was read to another owner, unless somebody was faster.
absl::Status QueueLeases::Take(const QueueJournalRow& row, std::string_view owner,
                               std::string_view instance) {
  RETURN_IF_ERROR(db_.Run(take_, owner, sql::Bytes(instance), times_.lease_ms, sql::Bytes(row.id),
                          row.epoch, row.beat));
  return db_.changes() == 1 ? absl::OkStatus() : EpochOver();
}

// The number of renewals makes the words others while the owner lives.
absl::Status QueueLeases::InUse(const QueueJournalRow& row) {
  return base::Exists(base::StrCat("the name \"", row.owner, "\" is in use by ",
                                   row.address.empty() ? "another queue" : row.address,
                                   " (started ", UtcText(row.since_ms), "; lease renewed ",
                                   row.beat, " times)"));
}

absl::StatusOr<v1::OpenQueueJournalReply> QueueLeases::Open(
    const v1::OpenQueueJournalRequest& request) {
  if (request.name().empty() || request.name().size() > 255)
    return base::Invalid("a queue needs a name of at most 255 bytes");
  if (request.instance().size() != kIdBytes) return base::Invalid("an instance has 16 bytes");
  QueueJournalRow mine;
  const absl::Status status = Transact([&]() -> absl::Status {
    mine = {};
    ASSIGN_OR_RETURN(const std::vector<QueueJournalRow> rows,
                     Read(db_.Query(owned_, request.name())));
    ASSIGN_OR_RETURN(const int64_t now, Now());
    for (const QueueJournalRow& row : rows) {
      const bool living = row.expires_ms > now && !row.closed;
      if (request.reopened() && living && row.instance != request.instance()) return InUse(row);
      if (mine.id.empty()) mine = row;
    }
    if (!mine.id.empty()) {
      RETURN_IF_ERROR(Take(mine, request.name(), request.instance()));
    } else {
      mine = {NewId(), request.name(), request.instance(), 0, 0, 0, 0, true, "", 0};
      RETURN_IF_ERROR(db_.Run(
          "INSERT INTO queue_journal(id,owner,instance,epoch,batch,expires_ms,beat,closed)"
          " VALUES(?1,?2,?3,1,0,?4,0,0)",
          sql::Bytes(mine.id), mine.owner, sql::Bytes(mine.instance), now + times_.lease_ms));
    }
    return db_.Run("UPDATE queue_journal SET address=?1,since_ms=?2 WHERE id=?3", request.address(),
                   now, sql::Bytes(mine.id));
  });
  RETURN_IF_ERROR(status);
  v1::OpenQueueJournalReply reply;
  reply.mutable_lease()->set_journal_id(mine.id);
  reply.mutable_lease()->set_epoch(static_cast<uint64_t>(mine.epoch) + 1);
  reply.set_batch(static_cast<uint64_t>(mine.batch));
  reply.set_lease_ms(static_cast<uint32_t>(times_.lease_ms));
  reply.set_closed(mine.closed);
  return reply;
}

absl::StatusOr<bool> QueueLeases::Advance(const v1::QueueLease& lease, uint64_t batch) {
  RETURN_IF_ERROR(
      db_.Run(guard_, batch, times_.lease_ms, sql::Bytes(lease.journal_id()), lease.epoch()));
  if (db_.changes() == 1) return true;
  ASSIGN_OR_RETURN(const QueueJournalRow row, Find(lease));
  if (row.batch == static_cast<int64_t>(batch)) return false;
  return base::Internal(base::StrCat("batch ", batch, " does not follow ", row.batch));
}

absl::Status QueueLeases::Hold(const v1::QueueLease& lease) {
  return RenewAs(kOpen, times_.lease_ms, lease);
}

absl::Status QueueLeases::RenewAs(State state, int64_t left_ms, const v1::QueueLease& lease) {
  RETURN_IF_ERROR(db_.Run(renew_, static_cast<int>(state), left_ms, sql::Bytes(lease.journal_id()),
                          lease.epoch()));
  return db_.changes() == 1 ? absl::OkStatus() : EpochOver();
}

absl::StatusOr<std::vector<QueueJournalRow>> QueueLeases::Claimable(const v1::QueueLease& lease,
                                                                    std::string_view owner) {
  return Read(db_.Query(claimable_, sql::Bytes(lease.journal_id()), owner));
}

absl::StatusOr<v1::RenewQueueLeaseReply> QueueLeases::Renew(
    const v1::RenewQueueLeaseRequest& request) {
  const v1::QueueLease& lease = request.lease();
  RETURN_IF_ERROR(Check(lease));
  v1::RenewQueueLeaseReply reply;
  RETURN_IF_ERROR(Transact([&]() -> absl::Status {
    reply.Clear();
    if (request.closing()) return RenewAs(kClosed, times_.closed_ms, lease);
    RETURN_IF_ERROR(Hold(lease));
    ASSIGN_OR_RETURN(const QueueJournalRow mine, Find(lease));
    ASSIGN_OR_RETURN(const std::vector<QueueJournalRow> others, Claimable(lease, mine.owner));
    reply.set_claimable(static_cast<uint32_t>(others.size()));
    return absl::OkStatus();
  }));
  return reply;
}

absl::StatusOr<v1::ClaimQueueJournalReply> QueueLeases::Claim(
    const v1::ClaimQueueJournalRequest& request) {
  const v1::QueueLease& lease = request.lease();
  RETURN_IF_ERROR(Check(lease));
  v1::ClaimQueueJournalReply reply;
  RETURN_IF_ERROR(Transact([&]() -> absl::Status {
    reply.Clear();
    RETURN_IF_ERROR(Hold(lease));
    ASSIGN_OR_RETURN(const QueueJournalRow mine, Find(lease));
    ASSIGN_OR_RETURN(const std::vector<QueueJournalRow> others, Claimable(lease, request.name()));
    if (others.empty()) return absl::OkStatus();
    const QueueJournalRow& row = others.front();
    RETURN_IF_ERROR(Take(row, request.name(), mine.instance));
    reply.mutable_claimed()->set_journal_id(row.id);
    reply.mutable_claimed()->set_epoch(static_cast<uint64_t>(row.epoch) + 1);
    reply.set_name(row.owner);
    reply.set_closed(row.closed);
    return absl::OkStatus();
  }));
  return reply;
}

}  // namespace posthorn::store_service
