#include "store-service/database/sqlite/sqlite_writer.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/sqlite/now.h"

namespace posthorn::store_service {
namespace {

constexpr char kFence[] = "UPDATE lane SET batch=? WHERE lane=? AND epoch=?";
constexpr char kAcquire[] = "UPDATE lane SET owner=?1, epoch=epoch+1, expires=" POSTHORN_NOW
                            "+?2 WHERE lane=?3 AND (owner=?1 OR expires<=" POSTHORN_NOW ")";
constexpr char kRenew[] = "UPDATE lane SET expires=" POSTHORN_NOW "+? WHERE lane=? AND epoch=?";
constexpr char kRelease[] = "UPDATE lane SET owner='', expires=0 WHERE lane=? AND epoch=?";
constexpr char kReadLane[] = "SELECT owner, epoch, batch, expires FROM lane WHERE lane=?";
constexpr char kPutAccount[] =
    "INSERT INTO account(account, modseq, next_mailbox, next_email_id, last_uid_validity, "
    "used_bytes,"
    " used_count) VALUES(?,?,?,?,?,?,?) ON CONFLICT(account) DO UPDATE SET modseq=excluded.modseq,"
    " next_mailbox=excluded.next_mailbox, next_email_id=excluded.next_email_id,"
    " last_uid_validity=excluded.last_uid_validity, used_bytes=excluded.used_bytes,"
    " used_count=excluded.used_count";
constexpr char kPutMailbox[] =
    "INSERT INTO mailbox(account, mailbox, name, special_use, uid_validity, uid_next, modseq, "
    "log_floor,"
    " messages, unseen, deleted, size) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT(account, mailbox) DO UPDATE SET name=excluded.name, "
    "special_use=excluded.special_use,"
    " uid_validity=excluded.uid_validity, uid_next=excluded.uid_next, modseq=excluded.modseq,"
    " log_floor=max(log_floor, excluded.log_floor), messages=excluded.messages, "
    "unseen=excluded.unseen,"
    " deleted=excluded.deleted, size=excluded.size";
constexpr char kPutBody[] =
    "INSERT OR IGNORE INTO body(blob_key, prefix_hash, shared_prefix, digest) VALUES(?,?,?,?)";
// Only when the row of the blob has another prefix.
constexpr char kPutOtherPrefix[] =
    "INSERT OR IGNORE INTO other_prefix(blob_key, prefix_hash, shared_prefix) SELECT ?1, ?2, ?3 "
    "FROM body WHERE blob_key=?1 AND "
    "prefix_hash<>?2";
constexpr char kInsertMessage[] =
    "INSERT INTO message(account, mailbox, uid, modseq, flags, kw_low, kw_high, internal_date, "
    "zone,"
    " save_date, size, email_id, thread_id, blob_key, blob_size, prefix_size, prefix_hash, "
    "own_prefix)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr char kCopyMessage[] =
    "INSERT INTO message(account, mailbox, uid, modseq, flags, kw_low, kw_high, internal_date, "
    "zone,"
    " save_date, size, email_id, thread_id, blob_key, blob_size, prefix_size, prefix_hash, "
    "own_prefix)"
    " SELECT account, ?, ?, ?, ?, ?, ?, internal_date, zone, ?, size, email_id, thread_id, "
    "blob_key,"
    " blob_size, prefix_size, prefix_hash, own_prefix FROM message WHERE account=? AND mailbox=? "
    "AND uid=?";
constexpr char kUpdateFlags[] =
    "UPDATE message SET modseq=?, flags=?, kw_low=?, kw_high=? WHERE account=? AND mailbox=? AND "
    "uid=?";
constexpr char kDeleteMessage[] = "DELETE FROM message WHERE account=? AND mailbox=? AND uid=?";
constexpr char kLogExpunge[] =
    "INSERT INTO expunge(account, mailbox, modseq, uid, blob_key, time) VALUES(?,?,?,?,?,?)";
constexpr char kPutKeyword[] = "INSERT INTO keyword(account, mailbox, bit, name) VALUES(?,?,?,?)";
constexpr char kSubscribe[] = "INSERT OR IGNORE INTO subscription(account, name) VALUES(?,?)";
constexpr char kUnsubscribe[] = "DELETE FROM subscription WHERE account=? AND name=?";
constexpr char kPutDelivery[] =
    "INSERT INTO delivery(account, message_id, copy, mailbox, uid, modseq, uid_validity, time)"
    " VALUES(?,?,?,?,?,?,?,?)";
constexpr char kPutOperation[] =
    "INSERT INTO operation(account, operation, time, reply) VALUES(?,?,?,?)";
constexpr char kDropOperation[] = "DELETE FROM operation WHERE account=? AND operation=?";
// Its messages go later, in steps (PurgeDropped).
constexpr char kNoteDropped[] =
    "INSERT INTO dropped(account, mailbox, modseq, time) VALUES(?,?,?,?)";
constexpr char kDropKeywords[] = "DELETE FROM keyword WHERE account=? AND mailbox=?";
constexpr char kDropMailbox[] = "DELETE FROM mailbox WHERE account=? AND mailbox=?";
// ?3: a bit for each lane of the fence; rows of other lanes belong to somebody else.
#define POSTHORN_OF_LANES "(?3 >> (account % 32)) & 1"
static_assert(base::kLanes == 32, "the masks in SQL know that number");
constexpr char kPruneDeliveries[] =
    "DELETE FROM delivery WHERE (account, message_id, copy) IN"
    " (SELECT account, message_id, copy FROM delivery WHERE time<?1 AND " POSTHORN_OF_LANES
    " LIMIT ?2)";
constexpr char kPruneExpunges[] =
    "DELETE FROM expunge WHERE (account, mailbox, modseq, uid) IN"
    " (SELECT account, mailbox, modseq, uid FROM expunge WHERE time<?1 AND " POSTHORN_OF_LANES
    " LIMIT ?2)";
// What was pruned is no longer known: who asks from before it gets a whole snapshot.
constexpr char kRaiseFloors[] =
    "UPDATE mailbox SET log_floor=max(log_floor, floor.modseq) FROM"
    " (SELECT account, mailbox, max(modseq) AS modseq FROM"
    "  (SELECT account, mailbox, modseq FROM expunge WHERE time<?1 AND " POSTHORN_OF_LANES
    "   LIMIT ?2) GROUP BY account, mailbox)"
    " AS floor WHERE mailbox.account=floor.account AND mailbox.mailbox=floor.mailbox";

uint64_t LaneMask(const Fence& fence) {
  uint64_t mask = 0;
  for (const FencedLane& lane : fence) mask |= uint64_t{1} << lane.lane;
  return mask;
}

}  // namespace

struct SqliteWriter::Statements {
  sqlite::Statement fence, acquire, renew, release, read_lane;
  sqlite::Statement put_account, put_mailbox, put_body, put_other_prefix;
  sqlite::Statement insert_message, copy_message, update_flags, delete_message, log_expunge;
  sqlite::Statement put_keyword, subscribe, unsubscribe, put_delivery, put_operation,
      drop_operation;
  sqlite::Statement note_dropped, drop_keywords, drop_mailbox;
  sqlite::Statement prune_deliveries, prune_expunges, raise_floors;
};

SqliteWriter::SqliteWriter(std::unique_ptr<sqlite::Connection> connection,
                           std::unique_ptr<Statements> statements)
    : connection_(std::move(connection)), statements_(std::move(statements)) {}

SqliteWriter::~SqliteWriter() = default;

absl::StatusOr<std::unique_ptr<SqliteWriter>> SqliteWriter::Create(
    std::unique_ptr<sqlite::Connection> connection) {
  auto s = std::make_unique<Statements>();
  const std::pair<sqlite::Statement*, const char*> all[] = {
      {&s->fence, kFence},
      {&s->acquire, kAcquire},
      {&s->renew, kRenew},
      {&s->release, kRelease},
      {&s->read_lane, kReadLane},
      {&s->put_account, kPutAccount},
      {&s->put_mailbox, kPutMailbox},
      {&s->put_body, kPutBody},
      {&s->put_other_prefix, kPutOtherPrefix},
      {&s->insert_message, kInsertMessage},
      {&s->copy_message, kCopyMessage},
      {&s->update_flags, kUpdateFlags},
      {&s->delete_message, kDeleteMessage},
      {&s->log_expunge, kLogExpunge},
      {&s->put_keyword, kPutKeyword},
      {&s->subscribe, kSubscribe},
      {&s->unsubscribe, kUnsubscribe},
      {&s->put_delivery, kPutDelivery},
      {&s->put_operation, kPutOperation},
      {&s->drop_operation, kDropOperation},
      {&s->note_dropped, kNoteDropped},
      {&s->drop_keywords, kDropKeywords},
      {&s->drop_mailbox, kDropMailbox},
      {&s->prune_deliveries, kPruneDeliveries},
      {&s->prune_expunges, kPruneExpunges},
      {&s->raise_floors, kRaiseFloors},
  };
  for (const auto& [statement, sql] : all) {
    ASSIGN_OR_RETURN(*statement, connection->Prepare(sql));
  }
  return std::unique_ptr<SqliteWriter>(new SqliteWriter(std::move(connection), std::move(s)));
}

absl::Status SqliteWriter::Commit(const Fence& fence, const WriteBatch& batch) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  RETURN_IF_ERROR(RefuseCondemned(batch));
  RETURN_IF_ERROR(WriteBodies(batch));
  RETURN_IF_ERROR(WriteAccounts(batch));
  RETURN_IF_ERROR(WriteMessages(batch));
  RETURN_IF_ERROR(WriteChanges(batch));
  RETURN_IF_ERROR(WriteExpunges(batch));
  RETURN_IF_ERROR(DeleteMailboxes(batch));
  RETURN_IF_ERROR(WriteMarks(batch));
  return transaction.Commit();
}

absl::Status SqliteWriter::CheckFence(const Fence& fence) {
  for (const FencedLane& lane : fence) {
    RETURN_IF_ERROR(statements_->fence.Run(lane.batch, lane.lane, lane.epoch));
    if (connection_->changes() != 1) {
      return base::Aborted(base::StrCat("lane ", lane.lane, " was taken over"));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteBodies(const WriteBatch& batch) {
  for (const auto& [key, row] : batch.bodies()) {
    RETURN_IF_ERROR(statements_->put_body.Run(row.blob_key, row.prefix_hash,
                                              sqlite::Bytes{row.shared_prefix},
                                              sqlite::Bytes{row.digest}));
    if (connection_->changes() == 1 || row.prefix_hash == 0) continue;
    RETURN_IF_ERROR(statements_->put_other_prefix.Run(row.blob_key, row.prefix_hash,
                                                      sqlite::Bytes{row.shared_prefix}));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteAccounts(const WriteBatch& batch) {
  for (const auto& [account, row] : batch.accounts()) {
    RETURN_IF_ERROR(statements_->put_account.Run(row.account, row.modseq, row.next_mailbox,
                                                 row.next_email_id, row.last_uid_validity,
                                                 row.used_bytes, row.used_count));
  }
  for (const auto& [key, row] : batch.mailboxes()) {
    RETURN_IF_ERROR(statements_->put_mailbox.Run(
        row.account, row.mailbox, row.name, row.special_use, row.uid_validity, row.uid_next,
        row.modseq, row.log_floor, row.messages, row.unseen, row.deleted, row.size));
  }
  for (const KeywordRow& row : batch.keywords) {
    RETURN_IF_ERROR(statements_->put_keyword.Run(row.account, row.mailbox, row.bit, row.name));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteMessages(const WriteBatch& batch) {
  for (const MessageRow& row : batch.messages) {
    const MessageColumns& c = row.columns;
    RETURN_IF_ERROR(statements_->insert_message.Run(
        row.account, row.mailbox, c.uid, c.modseq, c.flags, c.keywords.low, c.keywords.high,
        c.internal_date_ms, c.zone_minutes, c.save_date_ms, c.size, c.email_id, c.thread_id,
        c.blob_key, row.blob_size, row.prefix_size, row.prefix_hash,
        sqlite::Bytes{row.own_prefix}));
  }
  for (const CopyRow& row : batch.copies) {
    const MessageColumns& c = row.columns;
    RETURN_IF_ERROR(statements_->copy_message.Run(row.mailbox, c.uid, c.modseq, c.flags,
                                                  c.keywords.low, c.keywords.high, c.save_date_ms,
                                                  row.account, row.source_mailbox, row.source_uid));
    if (connection_->changes() != 1) {
      return base::Internal(base::StrCat("source of a copy is missing: account ", row.account,
                                         " mailbox ", row.source_mailbox, " uid ", row.source_uid));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteChanges(const WriteBatch& batch) {
  for (const FlagsRow& row : batch.flags) {
    RETURN_IF_ERROR(statements_->update_flags.Run(row.modseq, row.flags, row.keywords.low,
                                                  row.keywords.high, row.account, row.mailbox,
                                                  row.uid));
    if (connection_->changes() != 1) {
      return base::Internal(base::StrCat("message to change is missing: account ", row.account,
                                         " mailbox ", row.mailbox, " uid ", row.uid));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteExpunges(const WriteBatch& batch) {
  for (const ExpungeRow& row : batch.expunges) {
    RETURN_IF_ERROR(statements_->delete_message.Run(row.account, row.mailbox, row.uid));
    RETURN_IF_ERROR(statements_->log_expunge.Run(row.account, row.mailbox, row.modseq, row.uid,
                                                 row.blob_key, row.time_ms));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::DeleteMailboxes(const WriteBatch& batch) {
  for (const DeletedMailboxRow& row : batch.deleted_mailboxes) {
    RETURN_IF_ERROR(
        statements_->note_dropped.Run(row.account, row.mailbox, row.modseq, row.time_ms));
    RETURN_IF_ERROR(statements_->drop_keywords.Run(row.account, row.mailbox));
    RETURN_IF_ERROR(statements_->drop_mailbox.Run(row.account, row.mailbox));
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::WriteMarks(const WriteBatch& batch) {
  for (const SubscriptionRow& row : batch.subscriptions) {
    sqlite::Statement& statement = row.state == SubscriptionRow::State::kSubscribed
                                       ? statements_->subscribe
                                       : statements_->unsubscribe;
    RETURN_IF_ERROR(statement.Run(row.account, row.name));
  }
  for (const DeliveryRow& row : batch.deliveries) {
    RETURN_IF_ERROR(statements_->put_delivery.Run(
        row.key.account, sqlite::Bytes{row.key.message_id.bytes()}, row.key.copy, row.mailbox,
        row.uid, row.modseq, row.uid_validity, row.time_ms));
  }
  for (const auto& [account, operation] : batch.old_operations) {
    RETURN_IF_ERROR(statements_->drop_operation.Run(account, sqlite::Bytes{operation}));
  }
  for (const OperationRow& row : batch.operations) {
    RETURN_IF_ERROR(statements_->put_operation.Run(row.account, sqlite::Bytes{row.operation},
                                                   row.time_ms, sqlite::Bytes{row.reply}));
  }
  return absl::OkStatus();
}

absl::StatusOr<LaneRow> SqliteWriter::AcquireLane(uint32_t lane, std::string_view owner,
                                                  int64_t lease_ms) {
  RETURN_IF_ERROR(statements_->acquire.Run(owner, lease_ms, lane));
  const bool taken = connection_->changes() == 1;
  ASSIGN_OR_RETURN(LaneRow row, ReadLane(lane));
  if (!taken || row.owner != owner) {
    return base::Precondition(base::StrCat("lane ", lane, " is held by ", row.owner));
  }
  return row;
}

absl::Status SqliteWriter::RenewLanes(const Fence& lanes, int64_t lease_ms) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  for (const FencedLane& lane : lanes) {
    RETURN_IF_ERROR(statements_->renew.Run(lease_ms, lane.lane, lane.epoch));
    if (connection_->changes() != 1) {
      return base::Aborted(base::StrCat("lane ", lane.lane, " was taken over"));
    }
  }
  return transaction.Commit();
}

absl::Status SqliteWriter::ReleaseLane(uint32_t lane, uint64_t epoch) {
  return statements_->release.Run(lane, epoch);
}

absl::StatusOr<LaneRow> SqliteWriter::ReadLane(uint32_t lane) {
  sqlite::Statement& read = statements_->read_lane;
  read.Bind(1, lane);
  ASSIGN_OR_RETURN(const bool found, read.Step());
  if (!found) return base::NotFound(base::StrCat("lane ", lane));
  LaneRow row{lane, std::string(read.Text(0)), read.Unsigned(1), read.Unsigned(2), read.Int(3)};
  read.Reset();
  return row;
}

absl::StatusOr<bool> SqliteWriter::Prune(const Fence& fence, sqlite::Statement& statement,
                                         int64_t before_ms, uint32_t limit) {
  RETURN_IF_ERROR(CheckFence(fence));
  RETURN_IF_ERROR(statement.Run(before_ms, limit, LaneMask(fence)));
  return connection_->changes() == static_cast<int>(limit);
}

absl::StatusOr<bool> SqliteWriter::PruneDeliveries(const Fence& fence, int64_t before_ms,
                                                   uint32_t limit) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  ASSIGN_OR_RETURN(const bool more, Prune(fence, statements_->prune_deliveries, before_ms, limit));
  RETURN_IF_ERROR(transaction.Commit());
  return more;
}

absl::StatusOr<bool> SqliteWriter::PruneExpunges(const Fence& fence, int64_t before_ms,
                                                 uint32_t limit) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(statements_->raise_floors.Run(before_ms, limit, LaneMask(fence)));
  ASSIGN_OR_RETURN(const bool more, Prune(fence, statements_->prune_expunges, before_ms, limit));
  RETURN_IF_ERROR(transaction.Commit());
  return more;
}

}  // namespace posthorn::store_service
