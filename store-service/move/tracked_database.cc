#include "store-service/move/tracked_database.h"

#include <utility>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

// Gathers the keys of one batch.
class Keys {
 public:
  explicit Keys(MoveKeys& keys) : keys_(keys) {}
  void Account(const MoveTable& table, AccountId account) {
    keys_.insert({&table, account, base::StrCat("account=", account)});
  }
  void Mailbox(const MoveTable& table, AccountId account, MailboxId mailbox) {
    keys_.insert({&table, account, base::StrCat("account=", account, " AND mailbox=", mailbox)});
  }
  void Message(AccountId account, MailboxId mailbox, Uid uid) {
    static const MoveTable& table = MoveTableOfMail("message");
    keys_.insert({&table, account,
                  base::StrCat("account=", account, " AND mailbox=", mailbox, " AND uid=", uid)});
  }
  void Expunged(const ExpungeRow& row) {
    static const MoveTable& table = MoveTableOfMail("expunge");
    keys_.insert({&table, row.account,
                  base::StrCat("account=", row.account, " AND mailbox=", row.mailbox,
                               " AND modseq=", row.modseq, " AND uid=", row.uid)});
  }
  void Delivery(const DeliveryKey& key) {
    static const MoveTable& table = MoveTableOfMail("delivery");
    keys_.insert({&table, key.account,
                  base::StrCat("account=", key.account, " AND message_id=x'",
                               base::Hex(key.message_id.bytes()), "' AND copy=", key.copy)});
  }
  void Blob(const MoveTable& table, uint64_t blob_key) {
    keys_.insert({&table, blob_key, base::StrCat("blob_key=", blob_key)});
  }

 private:
  MoveKeys& keys_;
};

void NoteMessages(const WriteBatch& batch, Keys& keys) {
  for (const MessageRow& row : batch.messages) {
    keys.Message(row.account, row.mailbox, row.columns.uid);
  }
  for (const CopyRow& row : batch.copies) {
    keys.Message(row.account, row.mailbox, row.columns.uid);
  }
  for (const FlagsRow& row : batch.flags) keys.Message(row.account, row.mailbox, row.uid);
  for (const ExpungeRow& row : batch.expunges) {
    keys.Message(row.account, row.mailbox, row.uid);
    keys.Expunged(row);
  }
  for (const DeliveryRow& row : batch.deliveries) keys.Delivery(row.key);
}

void NoteBodies(const WriteBatch& batch, Keys& keys) {
  static const MoveTable& body = MoveTableOfMail("body");
  static const MoveTable& other = MoveTableOfMail("other_prefix");
  for (const auto& [key, row] : batch.bodies()) {
    keys.Blob(body, row.blob_key);
    keys.Blob(other, row.blob_key);
  }
}

void NoteMailboxes(const WriteBatch& batch, Keys& keys) {
  static const MoveTable& account = MoveTableOfMail("account");
  static const MoveTable& mailbox = MoveTableOfMail("mailbox");
  static const MoveTable& keyword = MoveTableOfMail("keyword");
  static const MoveTable& dropped = MoveTableOfMail("dropped");
  for (const auto& [id, row] : batch.accounts()) keys.Account(account, id);
  for (const auto& [key, row] : batch.mailboxes()) keys.Mailbox(mailbox, row.account, row.mailbox);
  for (const KeywordRow& row : batch.keywords) keys.Mailbox(keyword, row.account, row.mailbox);
  for (const DeletedMailboxRow& row : batch.deleted_mailboxes) {
    for (const MoveTable* table : {&mailbox, &keyword, &dropped}) {
      keys.Mailbox(*table, row.account, row.mailbox);
    }
  }
}

// Few rows of each account.
void NoteMarks(const WriteBatch& batch, Keys& keys) {
  static const MoveTable& subscription = MoveTableOfMail("subscription");
  static const MoveTable& operation = MoveTableOfMail("operation");
  for (const SubscriptionRow& row : batch.subscriptions) keys.Account(subscription, row.account);
  for (const OperationRow& row : batch.operations) keys.Account(operation, row.account);
  for (const auto& [account, id] : batch.old_operations) keys.Account(operation, account);
}

}  // namespace

void TrackedDatabase::Track() {
  const std::lock_guard lock(mutex_);
  tracking_ = true;
  keys_.clear();
}

void TrackedDatabase::Forget() {
  const std::lock_guard lock(mutex_);
  tracking_ = false;
  keys_.clear();
}

MoveKeys TrackedDatabase::TakeWritten() {
  const std::lock_guard lock(mutex_);
  return std::exchange(keys_, {});
}

size_t TrackedDatabase::written() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

void TrackedDatabase::Close(absl::Status why) {
  const std::lock_guard lock(mutex_);
  closed_ = std::move(why);
}

void TrackedDatabase::Open() {
  const std::lock_guard lock(mutex_);
  closed_ = absl::OkStatus();
}

void TrackedDatabase::SetWarning(std::string warning) {
  const std::lock_guard lock(mutex_);
  warning_ = std::move(warning);
}

std::vector<std::string> TrackedDatabase::Warnings() {
  std::vector<std::string> warnings = database_->Warnings();
  const std::lock_guard lock(mutex_);
  if (!warning_.empty()) warnings.push_back(warning_);
  return warnings;
}

void TrackedDatabase::Note(const WriteBatch& batch) {
  Keys keys(keys_);
  NoteMessages(batch, keys);
  NoteBodies(batch, keys);
  NoteMailboxes(batch, keys);
  NoteMarks(batch, keys);
}

absl::Status TrackedDatabase::Commit(const Fence& fence, const WriteBatch& batch) {
  const std::lock_guard lock(mutex_);
  if (!closed_.ok()) return closed_;
  if (tracking_) Note(batch);
  return database_->Commit(fence, batch);
}

absl::StatusOr<LaneRow> TrackedDatabase::AcquireLane(uint32_t lane, std::string_view owner,
                                                     int64_t lease_ms) {
  const std::lock_guard lock(mutex_);
  if (!closed_.ok()) return closed_;
  return database_->AcquireLane(lane, owner, lease_ms);
}

absl::Status TrackedDatabase::Collecting() const {
  if (!closed_.ok()) return closed_;
  return tracking_ ? base::Unavailable("the database is being copied; this waits until then")
                   : absl::OkStatus();
}

absl::StatusOr<bool> TrackedDatabase::PruneDeliveries(const Fence& fence, int64_t before_ms,
                                                      uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->PruneDeliveries(fence, before_ms, limit);
}

absl::StatusOr<bool> TrackedDatabase::PruneExpunges(const Fence& fence, int64_t before_ms,
                                                    uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->PruneExpunges(fence, before_ms, limit);
}

absl::StatusOr<bool> TrackedDatabase::PurgeDropped(const Fence& fence, uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->PurgeDropped(fence, limit);
}

absl::StatusOr<bool> TrackedDatabase::EraseAccount(const Fence& fence, AccountId account,
                                                   int64_t now_ms, uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->EraseAccount(fence, account, now_ms, limit);
}

absl::Status TrackedDatabase::PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->PutSuspects(fence, rows);
}

absl::Status TrackedDatabase::Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                      int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->Condemn(fence, blob_keys, now_ms);
}

absl::Status TrackedDatabase::MarkDestroyed(const Fence& fence,
                                            const std::vector<uint64_t>& blob_keys, int64_t now_ms,
                                            int64_t keep_ms) {
  const std::lock_guard lock(mutex_);
  if (const absl::Status status = Collecting(); !status.ok()) return status;
  return database_->MarkDestroyed(fence, blob_keys, now_ms, keep_ms);
}

}  // namespace posthorn::store_service
