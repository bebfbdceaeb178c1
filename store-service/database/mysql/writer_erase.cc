// Deleted mailboxes and accounts go in small transactions, so that no lane waits long for its
// committer.

#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/fenced_lanes.h"
#include "store-service/database/mysql/mysql_writer.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;

constexpr char kDropped[] =
    "SELECT account, mailbox, modseq, time FROM dropped"
    " WHERE " POSTHORN_MYSQL_OF_LANES " LIMIT 1";
constexpr char kLogSome[] =
    "INSERT IGNORE INTO expunge(account, mailbox, modseq, uid, blob_key, time)"
    " SELECT account, mailbox, ?, uid, blob_key, ? FROM message WHERE account=? AND mailbox=?"
    " ORDER BY uid LIMIT ?";
constexpr char kDeleteSome[] =
    "DELETE FROM message WHERE account=? AND mailbox=? ORDER BY uid LIMIT ?";
constexpr char kForgetDropped[] = "DELETE FROM dropped WHERE account=? AND mailbox=?";

// An account's messages come first and its own row last: until that is gone the job is not done.
constexpr char kLogOfAccount[] =
    "INSERT IGNORE INTO expunge(account, mailbox, modseq, uid, blob_key, time)"
    " SELECT account, mailbox, modseq, uid, blob_key, ? FROM message WHERE account=?"
    " ORDER BY mailbox, uid LIMIT ?";
constexpr const char* kOfAccount[] = {
    "DELETE FROM message WHERE account=? ORDER BY mailbox, uid LIMIT ?",
    "DELETE FROM keyword WHERE account=? ORDER BY mailbox, bit LIMIT ?",
    "DELETE FROM mailbox WHERE account=? ORDER BY mailbox LIMIT ?",
    "DELETE FROM dropped WHERE account=? ORDER BY mailbox LIMIT ?",
    "DELETE FROM subscription WHERE account=? ORDER BY name LIMIT ?",
    "DELETE FROM delivery WHERE account=? ORDER BY message_id, copy LIMIT ?",
    "DELETE FROM operation WHERE account=? ORDER BY operation LIMIT ?",
};
constexpr char kForgetAccount[] = "DELETE FROM account_state WHERE account=?";

absl::StatusOr<std::optional<DeletedMailboxRow>> NextDropped(mysql::Connection& connection,
                                                             const Fence& fence) {
  Cursor dropped = connection.Query(kDropped, LaneMask(fence));
  ASSIGN_OR_RETURN(const bool row, dropped.Next());
  if (!row) return std::optional<DeletedMailboxRow>();
  return std::optional(DeletedMailboxRow{dropped.Unsigned(0), dropped.Unsigned(1),
                                         dropped.Unsigned(2), dropped.Int(3)});
}

}  // namespace

absl::StatusOr<bool> MysqlWriter::PurgeDropped(const Fence& fence, uint32_t limit) {
  // Before the transaction, because most calls find nothing. Only this lane's owner takes rows out.
  ASSIGN_OR_RETURN(const auto next, NextDropped(*connection_, fence));
  if (!next) return false;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    RETURN_IF_ERROR(connection_->Run(kLogSome, next->modseq, next->time_ms, next->account,
                                     next->mailbox, limit));
    RETURN_IF_ERROR(connection_->Run(kDeleteSome, next->account, next->mailbox, limit));
    if (connection_->changes() == limit) return absl::OkStatus();
    return connection_->Run(kForgetDropped, next->account, next->mailbox);
  }));
  return true;
}

absl::StatusOr<bool> MysqlWriter::EraseAccount(const Fence& fence, AccountId account,
                                               int64_t now_ms, uint32_t limit) {
  if (!Holds(fence, account)) return base::Unavailable(base::kNotOwner);
  int64_t left = 0;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    RETURN_IF_ERROR(connection_->Run(kLogOfAccount, now_ms, account, limit));
    left = limit;
    for (const char* statement : kOfAccount) {
      RETURN_IF_ERROR(connection_->Run(statement, account, left));
      left -= connection_->changes();
      if (left <= 0) return absl::OkStatus();
    }
    return connection_->Run(kForgetAccount, account);
  }));
  return left <= 0;
}

}  // namespace posthorn::store_service
