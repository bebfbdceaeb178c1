#include "store-service/queue/queue_table.h"

#include <openssl/rand.h>

#include "lib/base/strings.h"
#include "store-service/database/utc_text.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kIdBytes = 16;
constexpr size_t kPageBytes = 1 << 20;
constexpr int kPageRecords = 1000;
constexpr size_t kLargestRecord = 6U << 20;  // with a page or a batch one RPC message
constexpr int kManyRows = 32;                // in one statement
constexpr int kManyBlobs = 100;

absl::Status EpochOver() { return base::Precondition("this epoch of the journal is over"); }

std::string NewId() {
  std::string id(kIdBytes, '\0');
  RAND_bytes(reinterpret_cast<uint8_t*>(id.data()), kIdBytes);
  return id;
}

// "(?1,?2,?3),(?4…": `rows` times `columns`.
std::string Places(int rows, int columns) {
  std::string out;
  for (int row = 0, n = 0; row < rows; ++row) {
    base::StrAppend(out, row == 0 ? "(" : ",(");
    for (int i = 0; i < columns; ++i) base::StrAppend(out, i == 0 ? "?" : ",?", ++n);
    out.push_back(')');
  }
  return out;
}

std::string PutText(int rows) {
  return base::StrCat("REPLACE INTO queue_entry(journal,message,part,blob_key,record) VALUES",
                      Places(rows, 5));
}

// By ORs, which every engine answers with look-ups of the key.
std::string DoneText(int rows) {
  std::string out = "DELETE FROM queue_entry WHERE ";
  for (int row = 0; row < rows; ++row) {
    base::StrAppend(out, row == 0 ? "" : " OR ", "(journal=?1 AND message=?", 2 + 2 * row,
                    " AND part=?", 3 + 2 * row, ")");
  }
  return out;
}

std::string HeldText() {
  std::string out = "SELECT DISTINCT blob_key FROM queue_entry WHERE blob_key IN (";
  for (int i = 1; i <= kManyBlobs; ++i) base::StrAppend(out, i == 1 ? "?" : ",?", i);
  return out + ")";
}

absl::Status CheckKey(const v1::QueueRecordKey& key) {
  return key.message_id().size() == kIdBytes ? absl::OkStatus()
                                             : base::Invalid("a message id has 16 bytes");
}

absl::Status CheckLease(const v1::QueueLease& lease) {
  return lease.journal_id().size() == kIdBytes ? absl::OkStatus()
                                               : base::Invalid("a journal id has 16 bytes");
}

// The caller repeats the batch, and its row says what became of the first try.
absl::Status AsUnavailable(const absl::Status& status) {
  const bool again = status.code() == absl::StatusCode::kUnknown || absl::IsAborted(status);
  return again ? base::Unavailable(base::Message(status)) : status;
}

}  // namespace

QueueTable::QueueTable(sql::Connection& db, QueueLeaseTimes times)
    : db_(db),
      times_(times),
      now_(base::StrCat("SELECT ", db.clock_ms())),
      guard_(base::StrCat("UPDATE queue_journal SET batch=?1,beat=beat+1,expires_ms=",
                          db.clock_ms(), "+?2 WHERE id=?3 AND epoch=?4 AND batch=?1-1")),
      renew_(base::StrCat("UPDATE queue_journal SET beat=beat+1,closed=?1,expires_ms=",
                          db.clock_ms(), "+?2 WHERE id=?3 AND epoch=?4")),
      take_(base::StrCat("UPDATE queue_journal SET owner=?1,instance=?2,epoch=epoch+1,"
                         "beat=beat+1,closed=0,expires_ms=",
                         db.clock_ms(), "+?3 WHERE id=?4 AND epoch=?5 AND beat=?6")) {}

absl::StatusOr<int64_t> QueueTable::Now() { return db_.Integer(now_); }

absl::StatusOr<std::vector<QueueTable::Row>> QueueTable::All() {
  std::vector<Row> rows;
  sql::Cursor at = db_.Query(
      "SELECT id,owner,instance,epoch,batch,expires_ms,beat,closed,address,since_ms"
      " FROM queue_journal ORDER BY id");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, at.Next());
    if (!more) return rows;
    rows.push_back({std::string(at.Text(0)), std::string(at.Text(1)), std::string(at.Text(2)),
                    at.Int(3), at.Int(4), at.Int(5), at.Int(6), at.Int(7) != 0,
                    std::string(at.Text(8)), at.Int(9)});
  }
}

absl::StatusOr<std::optional<QueueTable::Row>> QueueTable::Find(std::string_view id) {
  ASSIGN_OR_RETURN(std::vector<Row> rows, All());
  for (Row& row : rows)
    if (row.id == id) return std::optional<Row>(std::move(row));
  return std::optional<Row>();
}

// Gives a journal as it was read to another owner. kAborted: somebody was faster.
absl::Status QueueTable::Take(const Row& row, std::string_view owner, std::string_view instance) {
  RETURN_IF_ERROR(db_.Run(take_, owner, sql::Bytes(instance), times_.lease_ms, sql::Bytes(row.id),
                          row.epoch, row.beat));
  return db_.changes() == 1 ? absl::OkStatus() : EpochOver();
}

// The number of renewals makes the words others while the owner lives.
absl::Status QueueTable::InUse(const Row& row) {
  return base::Exists(base::StrCat("the name \"", row.owner, "\" is in use by ",
                                   row.address.empty() ? "another queue" : row.address,
                                   " (started ", UtcText(row.since_ms), "; lease renewed ",
                                   row.beat, " times)"));
}

absl::StatusOr<v1::OpenQueueJournalReply> QueueTable::Open(
    const v1::OpenQueueJournalRequest& request) {
  if (request.name().empty() || request.name().size() > 255)
    return base::Invalid("a queue needs a name of at most 255 bytes");
  if (request.instance().size() != kIdBytes) return base::Invalid("an instance has 16 bytes");
  Row mine;
  const absl::Status status = sql::Transact(db_, [&]() -> absl::Status {
    mine = {};
    ASSIGN_OR_RETURN(const std::vector<Row> rows, All());
    ASSIGN_OR_RETURN(const int64_t now, Now());
    for (const Row& row : rows) {
      if (row.owner != request.name()) continue;
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
  RETURN_IF_ERROR(AsUnavailable(status));
  v1::OpenQueueJournalReply reply;
  reply.mutable_lease()->set_journal_id(mine.id);
  reply.mutable_lease()->set_epoch(static_cast<uint64_t>(mine.epoch) + 1);
  reply.set_batch(static_cast<uint64_t>(mine.batch));
  reply.set_lease_ms(static_cast<uint32_t>(times_.lease_ms));
  reply.set_closed(mine.closed);
  return reply;
}

// True: to be written now; false: it is there already.
absl::StatusOr<bool> QueueTable::Guard(const v1::AppendQueueRecordsRequest& request) {
  const v1::QueueLease& lease = request.lease();
  RETURN_IF_ERROR(db_.Run(guard_, request.batch(), times_.lease_ms, sql::Bytes(lease.journal_id()),
                          lease.epoch()));
  if (db_.changes() == 1) return true;
  ASSIGN_OR_RETURN(const std::optional<Row> row, Find(lease.journal_id()));
  if (!row || row->epoch != static_cast<int64_t>(lease.epoch())) return EpochOver();
  if (row->batch == static_cast<int64_t>(request.batch())) return false;
  return base::Internal(base::StrCat("batch ", request.batch(), " does not follow ", row->batch));
}

absl::StatusOr<v1::AppendQueueRecordsReply> QueueTable::Append(
    const v1::AppendQueueRecordsRequest& request) {
  RETURN_IF_ERROR(CheckLease(request.lease()));
  for (const v1::QueueRecord& record : request.put()) {
    RETURN_IF_ERROR(CheckKey(record.key()));
    if (record.record().size() > kLargestRecord) return base::Invalid("the record is too large");
  }
  for (const v1::QueueRecordKey& key : request.done()) RETURN_IF_ERROR(CheckKey(key));
  for (const v1::QueueRecordKey& key : request.adopted()) RETURN_IF_ERROR(CheckKey(key));
  const absl::Status status = sql::Transact(db_, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const bool fresh, Guard(request));
    if (!fresh) return absl::OkStatus();
    RETURN_IF_ERROR(Put(request));
    RETURN_IF_ERROR(Done(request));
    return request.has_claimed() ? Adopt(request) : absl::OkStatus();
  });
  RETURN_IF_ERROR(AsUnavailable(status));
  return v1::AppendQueueRecordsReply();
}

absl::Status QueueTable::Put(const v1::AppendQueueRecordsRequest& request) {
  static const std::string kMany = PutText(kManyRows);
  static const std::string kOne = PutText(1);
  const sql::Argument journal = sql::Bytes(request.lease().journal_id());
  std::vector<sql::Argument> arguments;
  for (int at = 0; at < request.put_size();) {
    const int rows = request.put_size() - at >= kManyRows ? kManyRows : 1;
    arguments.clear();
    for (const int end = at + rows; at < end; ++at) {
      const v1::QueueRecord& record = request.put(at);
      arguments.insert(arguments.end(),
                       {journal, sql::Bytes(record.key().message_id()), record.key().part(),
                        record.blob_key(), sql::Bytes(record.record())});
    }
    RETURN_IF_ERROR(db_.Execute(rows == 1 ? kOne : kMany, arguments));
  }
  return absl::OkStatus();
}

absl::Status QueueTable::Done(const v1::AppendQueueRecordsRequest& request) {
  static const std::string kMany = DoneText(kManyRows);
  static const std::string kOne = DoneText(1);
  std::vector<sql::Argument> arguments;
  for (int at = 0; at < request.done_size();) {
    const int rows = request.done_size() - at >= kManyRows ? kManyRows : 1;
    arguments.assign(1, sql::Bytes(request.lease().journal_id()));
    for (const int end = at + rows; at < end; ++at) {
      arguments.emplace_back(sql::Bytes(request.done(at).message_id()));
      arguments.emplace_back(request.done(at).part());
    }
    RETURN_IF_ERROR(db_.Execute(rows == 1 ? kOne : kMany, arguments));
  }
  return absl::OkStatus();
}

absl::Status QueueTable::Remove(std::string_view journal, const v1::QueueRecordKey& key) {
  return db_.Run("DELETE FROM queue_entry WHERE journal=?1 AND message=?2 AND part=?3",
                 sql::Bytes(journal), sql::Bytes(key.message_id()), key.part());
}

absl::Status QueueTable::Adopt(const v1::AppendQueueRecordsRequest& request) {
  const std::string& from = request.claimed().journal_id();
  const std::string& to = request.lease().journal_id();
  RETURN_IF_ERROR(Hold(request.claimed()));
  for (const v1::QueueRecordKey& key : request.adopted()) {
    // A record that is here already is newer than what another replica knew.
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO queue_entry(journal,message,part,blob_key,record) "
        "SELECT ?1,e.message,e.part,e.blob_key,e.record FROM queue_entry e WHERE e.journal=?2 AND "
        "e.message=?3 AND e.part=?4 AND NOT EXISTS(SELECT 1 FROM queue_entry o WHERE o.journal=?1 "
        "AND o.message=?3 AND o.part=?4)",
        sql::Bytes(to), sql::Bytes(from), sql::Bytes(key.message_id()), key.part()));
    RETURN_IF_ERROR(Remove(from, key));
  }
  if (!request.claimed_ends()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t left,
                   db_.Integer("SELECT count(*) FROM (SELECT 1 FROM queue_entry WHERE journal=?1 "
                               "LIMIT 1) AS some",
                               sql::Bytes(from)));
  if (left > 0) return base::Internal("a claimed journal ends that has records");
  return db_.Run("DELETE FROM queue_journal WHERE id=?1 AND epoch=?2", sql::Bytes(from),
                 request.claimed().epoch());
}

// Renews; kAborted when the epoch is over.
absl::Status QueueTable::Hold(const v1::QueueLease& lease) {
  RETURN_IF_ERROR(
      db_.Run(renew_, 0, times_.lease_ms, sql::Bytes(lease.journal_id()), lease.epoch()));
  return db_.changes() == 1 ? absl::OkStatus() : EpochOver();
}

absl::StatusOr<v1::RenewQueueLeaseReply> QueueTable::Renew(
    const v1::RenewQueueLeaseRequest& request) {
  RETURN_IF_ERROR(CheckLease(request.lease()));
  const v1::QueueLease& lease = request.lease();
  v1::RenewQueueLeaseReply reply;
  const absl::Status status = sql::Transact(db_, [&]() -> absl::Status {
    reply.Clear();
    if (request.closing()) {
      RETURN_IF_ERROR(
          db_.Run(renew_, 1, times_.closed_ms, sql::Bytes(lease.journal_id()), lease.epoch()));
      return db_.changes() == 1 ? absl::OkStatus() : EpochOver();
    }
    RETURN_IF_ERROR(Hold(lease));
    ASSIGN_OR_RETURN(const std::vector<Row> rows, All());
    ASSIGN_OR_RETURN(const int64_t now, Now());
    std::string owner;
    for (const Row& row : rows)
      if (row.id == lease.journal_id()) owner = row.owner;
    uint32_t claimable = 0;
    for (const Row& row : rows) {
      const bool other = row.id != lease.journal_id();
      if (other && (row.expires_ms < now || row.owner == owner)) ++claimable;
    }
    reply.set_claimable(claimable);
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(AsUnavailable(status));
  return reply;
}

absl::StatusOr<v1::ClaimQueueJournalReply> QueueTable::Claim(
    const v1::ClaimQueueJournalRequest& request) {
  RETURN_IF_ERROR(CheckLease(request.lease()));
  v1::ClaimQueueJournalReply reply;
  const absl::Status status = sql::Transact(db_, [&]() -> absl::Status {
    reply.Clear();
    RETURN_IF_ERROR(Hold(request.lease()));
    ASSIGN_OR_RETURN(const std::vector<Row> rows, All());
    ASSIGN_OR_RETURN(const int64_t now, Now());
    std::string instance;
    for (const Row& row : rows)
      if (row.id == request.lease().journal_id()) instance = row.instance;
    for (const Row& row : rows) {
      if (row.id == request.lease().journal_id()) continue;
      // What a claim of this replica left half moved is its own, whenever it asks.
      if (row.expires_ms >= now && row.owner != request.name()) continue;
      RETURN_IF_ERROR(Take(row, request.name(), instance));
      reply.mutable_claimed()->set_journal_id(row.id);
      reply.mutable_claimed()->set_epoch(static_cast<uint64_t>(row.epoch) + 1);
      reply.set_name(row.owner);
      reply.set_closed(row.closed);
      return absl::OkStatus();
    }
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(AsUnavailable(status));
  return reply;
}

absl::StatusOr<v1::LoadQueueRecordsReply> QueueTable::Load(
    const v1::LoadQueueRecordsRequest& request) {
  RETURN_IF_ERROR(CheckLease(request.lease()));
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(db_, sql::Transaction::kRead));
  ASSIGN_OR_RETURN(const std::optional<Row> row, Find(request.lease().journal_id()));
  if (!row || row->epoch != static_cast<int64_t>(request.lease().epoch())) return EpochOver();
  const std::string first(kIdBytes, '\0');
  const bool from_start = request.after().message_id().empty();
  // Two ranges of the key, which every engine finds without reading what lies before.
  sql::Cursor at = db_.Query(
      "SELECT message,part,blob_key,record FROM queue_entry WHERE journal=?1 AND message>=?2 AND "
      "(message>?2 OR part>?3) ORDER BY message,part LIMIT ?4",
      sql::Bytes(row->id), sql::Bytes(from_start ? first : request.after().message_id()),
      from_start ? int64_t{-1} : int64_t{request.after().part()}, kPageRecords + 1);
  v1::LoadQueueRecordsReply reply;
  for (size_t bytes = 0;;) {
    ASSIGN_OR_RETURN(const bool more, at.Next());
    if (!more) return reply;
    if (bytes > kPageBytes || reply.records_size() == kPageRecords) {
      reply.set_more(true);
      return reply;
    }
    v1::QueueRecord& record = *reply.add_records();
    record.mutable_key()->set_message_id(std::string(at.Text(0)));
    record.mutable_key()->set_part(static_cast<uint32_t>(at.Int(1)));
    record.set_blob_key(at.Unsigned(2));
    record.set_record(std::string(at.Text(3)));
    bytes += record.record().size();
  }
}

absl::StatusOr<v1::ReadQueueRecordReply> QueueTable::Read(
    const v1::ReadQueueRecordRequest& request) {
  RETURN_IF_ERROR(CheckLease(request.lease()));
  RETURN_IF_ERROR(CheckKey(request.key()));
  sql::Cursor at =
      db_.Query("SELECT record FROM queue_entry WHERE journal=?1 AND message=?2 AND part=?3",
                sql::Bytes(request.lease().journal_id()), sql::Bytes(request.key().message_id()),
                request.key().part());
  ASSIGN_OR_RETURN(const bool there, at.Next());
  if (!there) return base::NotFound("not in the journal");
  v1::ReadQueueRecordReply reply;
  reply.set_record(std::string(at.Text(0)));
  return reply;
}

absl::StatusOr<std::vector<uint64_t>> QueueTable::Held(const std::vector<uint64_t>& blobs) {
  static const std::string kText = HeldText();
  std::vector<uint64_t> held;
  for (size_t at = 0; at < blobs.size(); at += kManyBlobs) {
    std::vector<sql::Argument> arguments;
    for (size_t i = at; i < at + kManyBlobs; ++i)
      arguments.emplace_back(blobs[std::min(i, blobs.size() - 1)]);
    sql::Cursor row(db_.Open(kText, arguments));
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, row.Next());
      if (!more) break;
      held.push_back(row.Unsigned(0));
    }
  }
  return held;
}

absl::StatusOr<std::optional<std::string>> QueueTable::Oldest() {
  ASSIGN_OR_RETURN(const std::vector<Row> rows, All());
  std::optional<std::string> oldest;
  for (const Row& row : rows) {
    sql::Cursor at =
        db_.Query("SELECT min(message) FROM queue_entry WHERE journal=?1", sql::Bytes(row.id));
    ASSIGN_OR_RETURN(const bool there, at.Next());
    if (!there || at.IsNull(0)) continue;
    std::string message(at.Text(0));
    if (!oldest || message < *oldest) oldest = std::move(message);
  }
  return oldest;
}

}  // namespace posthorn::store_service
