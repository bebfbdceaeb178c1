// Deleted mailboxes and accounts go in small transactions, so that no lane waits long for the one
// committer. Rare, so statements are not kept by name.

#include <algorithm>
#include <optional>

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/sqlite/sqlite_writer.h"

namespace posthorn::store_service {
namespace {

constexpr char kDropped[] = "SELECT account, mailbox, modseq, time FROM dropped";
constexpr char kLogSome[] =
    "INSERT OR IGNORE INTO expunge(account, mailbox, modseq, uid, blob_key, time)"
    " SELECT account, mailbox, ?3, uid, blob_key, ?4 FROM message WHERE account=?1 AND mailbox=?2"
    " ORDER BY uid LIMIT ?5";
constexpr char kDeleteSome[] =
    "DELETE FROM message WHERE account=?1 AND mailbox=?2 AND uid IN"
    " (SELECT uid FROM message WHERE account=?1 AND mailbox=?2 ORDER BY uid LIMIT ?3)";
constexpr char kForgetDropped[] = "DELETE FROM dropped WHERE account=? AND mailbox=?";

// An account's messages come first and its own row last: until that is gone the job is not done.
constexpr char kLogOfAccount[] =
    "INSERT OR IGNORE INTO expunge(account, mailbox, modseq, uid, blob_key, time)"
    " SELECT account, mailbox, modseq, uid, blob_key, ?2 FROM message WHERE account=?1"
    " ORDER BY mailbox, uid LIMIT ?3";
constexpr const char* kOfAccount[] = {
    "DELETE FROM message WHERE account=?1 AND (mailbox, uid) IN"
    " (SELECT mailbox, uid FROM message WHERE account=?1 ORDER BY mailbox, uid LIMIT ?2)",
    "DELETE FROM keyword WHERE account=?1 AND (mailbox, bit) IN"
    " (SELECT mailbox, bit FROM keyword WHERE account=?1 LIMIT ?2)",
    "DELETE FROM mailbox WHERE account=?1 AND mailbox IN"
    " (SELECT mailbox FROM mailbox WHERE account=?1 LIMIT ?2)",
    "DELETE FROM dropped WHERE account=?1 AND mailbox IN"
    " (SELECT mailbox FROM dropped WHERE account=?1 LIMIT ?2)",
    "DELETE FROM subscription WHERE account=?1 AND name IN"
    " (SELECT name FROM subscription WHERE account=?1 LIMIT ?2)",
    "DELETE FROM delivery WHERE account=?1 AND (message_id, copy) IN"
    " (SELECT message_id, copy FROM delivery WHERE account=?1 LIMIT ?2)",
    "DELETE FROM operation WHERE account=?1 AND operation IN"
    " (SELECT operation FROM operation WHERE account=?1 LIMIT ?2)",
};
constexpr char kForgetAccount[] = "DELETE FROM account WHERE account=?";

bool Holds(const Fence& fence, AccountId account) {
  return std::any_of(fence.begin(), fence.end(), [account](const FencedLane& lane) {
    return lane.lane == base::LaneOf(account);
  });
}

}  // namespace

absl::StatusOr<bool> SqliteWriter::PurgeDropped(const Fence& fence, uint32_t limit) {
  std::optional<DeletedMailboxRow> next;
  {
    sqlite::Cursor dropped = connection_->Query(kDropped);
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, dropped.Next());
      if (!row) return false;
      next = {dropped.Unsigned(0), dropped.Unsigned(1), dropped.Unsigned(2), dropped.Int(3)};
      if (Holds(fence, next->account)) break;
    }
  }
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  RETURN_IF_ERROR(
      connection_->Run(kLogSome, next->account, next->mailbox, next->modseq, next->time_ms, limit));
  RETURN_IF_ERROR(connection_->Run(kDeleteSome, next->account, next->mailbox, limit));
  if (connection_->changes() < static_cast<int64_t>(limit)) {
    RETURN_IF_ERROR(connection_->Run(kForgetDropped, next->account, next->mailbox));
  }
  RETURN_IF_ERROR(transaction.Commit());
  return true;
}

absl::StatusOr<bool> SqliteWriter::EraseAccount(const Fence& fence, AccountId account,
                                                int64_t now_ms, uint32_t limit) {
  if (!Holds(fence, account)) return base::Unavailable(base::kNotOwner);
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  RETURN_IF_ERROR(connection_->Run(kLogOfAccount, account, now_ms, limit));
  int64_t left = limit;
  for (const char* statement : kOfAccount) {
    RETURN_IF_ERROR(connection_->Run(statement, account, left));
    left -= connection_->changes();
    if (left <= 0) break;
  }
  if (left > 0) RETURN_IF_ERROR(connection_->Run(kForgetAccount, account));
  RETURN_IF_ERROR(transaction.Commit());
  return left <= 0;
}

}  // namespace posthorn::store_service
