#include "store-service/queue/queue_table.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kIdBytes = 16;
constexpr size_t kPageBytes = 1 << 20;
constexpr int kPageRecords = 1000;
constexpr size_t kLargestRecord = 6U << 20;  // with a page or a batch one RPC message
constexpr int kManyRows = 32;                // in one statement
constexpr int kManyBlobs = 100;

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

}  // namespace

absl::StatusOr<v1::AppendQueueRecordsReply> QueueTable::Append(
    const v1::AppendQueueRecordsRequest& request) {
  RETURN_IF_ERROR(QueueLeases::Check(request.lease()));
  for (const v1::QueueRecord& record : request.put()) {
    RETURN_IF_ERROR(CheckKey(record.key()));
    if (record.record().size() > kLargestRecord) return base::Invalid("the record is too large");
  }
  for (const v1::QueueRecordKey& key : request.done()) RETURN_IF_ERROR(CheckKey(key));
  for (const v1::QueueRecordKey& key : request.adopted()) RETURN_IF_ERROR(CheckKey(key));
  RETURN_IF_ERROR(leases_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const bool fresh, leases_.Advance(request.lease(), request.batch()));
    if (!fresh) return absl::OkStatus();
    RETURN_IF_ERROR(Put(request));
    RETURN_IF_ERROR(Done(request));
    return request.has_claimed() ? Adopt(request) : absl::OkStatus();
  }));
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
  RETURN_IF_ERROR(leases_.Hold(request.claimed()));
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

absl::StatusOr<v1::LoadQueueRecordsReply> QueueTable::Load(
    const v1::LoadQueueRecordsRequest& request) {
  RETURN_IF_ERROR(QueueLeases::Check(request.lease()));
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(db_, sql::Transaction::kRead));
  ASSIGN_OR_RETURN(const QueueJournalRow row, leases_.Find(request.lease()));
  const std::string first(kIdBytes, '\0');
  const bool from_start = request.after().message_id().empty();
  // Two ranges of the key, which every engine finds without reading what lies before.
  sql::Cursor at = db_.Query(
      "SELECT message,part,blob_key,record FROM queue_entry WHERE journal=?1 AND message>=?2 AND "
      "(message>?2 OR part>?3) ORDER BY message,part LIMIT ?4",
      sql::Bytes(row.id), sql::Bytes(from_start ? first : request.after().message_id()),
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
  RETURN_IF_ERROR(QueueLeases::Check(request.lease()));
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
  // Of one moment: a record that moves from one journal to another must not be missed between them.
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(db_, sql::Transaction::kRead));
  ASSIGN_OR_RETURN(const std::vector<QueueJournalRow> rows, leases_.All());
  std::optional<std::string> oldest;
  for (const QueueJournalRow& row : rows) {
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
