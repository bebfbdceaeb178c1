#include "store-service/database/mysql/mysql_snapshot.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/snapshot_rows.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;

constexpr char kFindAccount[] =
    "SELECT " POSTHORN_ACCOUNT_COLUMNS " FROM account_state WHERE account=?";
constexpr char kAccounts[] = "SELECT " POSTHORN_ACCOUNT_COLUMNS
                             " FROM account_state WHERE account>? ORDER BY account LIMIT ?";
constexpr char kMailboxes[] =
    "SELECT " POSTHORN_MAILBOX_COLUMNS " FROM mailbox WHERE account=? ORDER BY mailbox";
constexpr char kFindMailbox[] =
    "SELECT " POSTHORN_MAILBOX_COLUMNS " FROM mailbox WHERE account=? AND mailbox=?";
constexpr char kAllKeywords[] =
    "SELECT mailbox, bit, name FROM keyword WHERE account=? ORDER BY mailbox, bit";
constexpr char kKeywords[] =
    "SELECT mailbox, bit, name FROM keyword WHERE account=? AND mailbox=? ORDER BY bit";
constexpr char kSubscriptions[] = "SELECT name FROM subscription WHERE account=? ORDER BY name";
constexpr char kOperations[] =
    "SELECT operation, time, reply FROM operation WHERE account=? ORDER BY time, operation";
constexpr char kFindDelivery[] =
    "SELECT mailbox, uid, modseq, uid_validity, time FROM delivery WHERE account=? AND message_id=?"
    " AND copy=?";
constexpr char kColumns[] =
    "SELECT " POSTHORN_MESSAGE_COLUMNS
    " FROM message WHERE account=? AND mailbox=? AND uid>? AND modseq>? ORDER BY uid LIMIT ?";
constexpr char kExpunged[] =
    "SELECT uid, modseq FROM expunge WHERE account=? AND mailbox=? AND (modseq>? OR (modseq=? AND"
    " uid>?)) ORDER BY modseq, uid LIMIT ?";
constexpr char kPlaces[] =
    "SELECT STRAIGHT_JOIN m.uid, m.blob_key, m.blob_size, m.own_prefix, m.prefix_hash,"
    " b.prefix_hash, b.shared_prefix, o.shared_prefix FROM message AS m LEFT JOIN body AS b ON"
    " b.blob_key=m.blob_key LEFT JOIN other_prefix AS o ON o.blob_key=m.blob_key AND"
    " o.prefix_hash=m.prefix_hash WHERE m.account=? AND m.mailbox=? AND m.uid BETWEEN ? AND ?"
    " ORDER BY m.uid LIMIT ?";
constexpr char kDigests[] =
    "SELECT STRAIGHT_JOIN m.uid, m.prefix_size, m.blob_key, m.blob_size, b.digest FROM message AS m"
    " LEFT JOIN body AS b ON b.blob_key=m.blob_key WHERE m.account=? AND m.mailbox=? AND m.uid"
    " BETWEEN ? AND ? ORDER BY m.uid LIMIT ?";
// SEEN is 1, DELETED 8.
constexpr char kTotals[] =
    "SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0),"
    " coalesce(sum(size), 0), coalesce(max(uid), 0), coalesce(max(modseq), 0)"
    " FROM message WHERE account=? AND mailbox=?";

// Rows of fixed size, and rows with a prefix or digest, a page.
constexpr uint32_t kNarrowPage = 10000;
constexpr uint32_t kWidePage = 500;

// Calls `row` for each row of `cursor`; how many there were.
template <class F>
absl::StatusOr<uint32_t> ForEach(Cursor cursor, F row) {
  for (uint32_t count = 0;; ++count) {
    ASSIGN_OR_RETURN(const bool more, cursor.Next());
    if (!more) return count;
    row(cursor);
  }
}

}  // namespace

MysqlSnapshot::MysqlSnapshot(std::unique_ptr<mysql::Connection> connection, GiveBack give_back,
                             mysql::Transaction transaction)
    : connection_(std::move(connection)),
      give_back_(std::move(give_back)),
      transaction_(std::move(transaction)) {}

absl::StatusOr<std::unique_ptr<ReadSnapshot>> MysqlSnapshot::Begin(
    std::unique_ptr<mysql::Connection> connection, GiveBack give_back) {
  ASSIGN_OR_RETURN(mysql::Transaction transaction,
                   mysql::Transaction::Begin(*connection, mysql::Transaction::Kind::kSnapshot));
  return std::unique_ptr<ReadSnapshot>(
      new MysqlSnapshot(std::move(connection), std::move(give_back), std::move(transaction)));
}

MysqlSnapshot::~MysqlSnapshot() {
  transaction_.reset();
  give_back_(std::move(connection_));
}

absl::StatusOr<AccountImage> MysqlSnapshot::LoadAccount(AccountId account) {
  AccountImage image;
  image.row.account = account;
  RETURN_IF_ERROR(ForEach(connection_->Query(kFindAccount, account), [&](const Cursor& c) {
                    image.row = AccountOf(c);
                    image.exists = true;
                  }).status());
  if (!image.exists) return image;
  RETURN_IF_ERROR(LoadLists(account, image));
  return image;
}

absl::Status MysqlSnapshot::LoadLists(AccountId account, AccountImage& image) {
  RETURN_IF_ERROR(ForEach(connection_->Query(kMailboxes, account), [&](const Cursor& c) {
                    image.mailboxes.push_back(MailboxOf(c));
                  }).status());
  RETURN_IF_ERROR(ForEach(connection_->Query(kAllKeywords, account), [&](const Cursor& c) {
                    image.keywords.push_back(KeywordOf(c, account));
                  }).status());
  RETURN_IF_ERROR(ForEach(connection_->Query(kSubscriptions, account), [&](const Cursor& c) {
                    image.subscriptions.emplace_back(c.Text(0));
                  }).status());
  return ForEach(connection_->Query(kOperations, account),
                 [&](const Cursor& c) {
                   image.operations.push_back(
                       {account, std::string(c.Text(0)), c.Int(1), std::string(c.Text(2))});
                 })
      .status();
}

absl::StatusOr<std::optional<MailboxRow>> MysqlSnapshot::FindMailbox(AccountId account,
                                                                     MailboxId mailbox) {
  std::optional<MailboxRow> found;
  RETURN_IF_ERROR(ForEach(connection_->Query(kFindMailbox, account, mailbox), [&](const Cursor& c) {
                    found = MailboxOf(c);
                  }).status());
  return found;
}

absl::StatusOr<std::vector<KeywordRow>> MysqlSnapshot::Keywords(AccountId account,
                                                                MailboxId mailbox) {
  std::vector<KeywordRow> rows;
  RETURN_IF_ERROR(ForEach(connection_->Query(kKeywords, account, mailbox), [&](const Cursor& c) {
                    rows.push_back(KeywordOf(c, account));
                  }).status());
  return rows;
}

absl::Status MysqlSnapshot::ReadColumns(AccountId account, MailboxId mailbox, ModSeq since,
                                        const std::function<void(const MessageColumns&)>& row) {
  Uid last = 0;
  for (uint32_t count = kNarrowPage; count == kNarrowPage;) {
    ASSIGN_OR_RETURN(
        count, ForEach(connection_->Query(kColumns, account, mailbox, last, since, kNarrowPage),
                       [&](const Cursor& c) {
                         const MessageColumns columns = ColumnsOf(c);
                         last = columns.uid;
                         row(columns);
                       }));
  }
  return absl::OkStatus();
}

absl::Status MysqlSnapshot::ReadExpunged(AccountId account, MailboxId mailbox, ModSeq since,
                                         const std::function<void(Uid)>& gone) {
  ModSeq modseq = since;
  Uid last = UINT32_MAX;  // nothing more of that modseq
  for (uint32_t count = kNarrowPage; count == kNarrowPage;) {
    ASSIGN_OR_RETURN(count, ForEach(connection_->Query(kExpunged, account, mailbox, modseq, modseq,
                                                       last, kNarrowPage),
                                    [&](const Cursor& c) {
                                      last = static_cast<Uid>(c.Int(0));
                                      modseq = c.Unsigned(1);
                                      gone(last);
                                    }));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<DeliveryRow>> MysqlSnapshot::FindDelivery(const DeliveryKey& key) {
  Cursor c = connection_->Query(kFindDelivery, key.account, mysql::Bytes(key.message_id.bytes()),
                                key.copy);
  ASSIGN_OR_RETURN(const bool found, c.Next());
  if (!found) return std::optional<DeliveryRow>();
  return std::optional(DeliveryRow{key, c.Unsigned(0), static_cast<Uid>(c.Int(1)), c.Unsigned(2),
                                   static_cast<uint32_t>(c.Int(3)), c.Int(4)});
}

absl::StatusOr<std::optional<MessagePlace>> MysqlSnapshot::FindPlace(AccountId account,
                                                                     MailboxId mailbox, Uid uid) {
  std::optional<MessagePlace> found;
  RETURN_IF_ERROR(ReadPlaces(account, mailbox, {uid, uid}, [&](MessagePlace place) {
    found = std::move(place);
    return true;
  }));
  return found;
}

absl::Status MysqlSnapshot::ReadPlaces(AccountId account, MailboxId mailbox, UidSpan uids,
                                       const std::function<bool(MessagePlace)>& place) {
  for (uint32_t count = kWidePage; count == kWidePage && uids.first <= uids.last;) {
    Cursor c = connection_->Query(kPlaces, account, mailbox, uids.first, uids.last, kWidePage);
    for (count = 0;; ++count) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      MessagePlace found = PlaceOf(c);
      const Uid uid = found.uid;
      if (!place(std::move(found)) || uid == UINT32_MAX) return absl::OkStatus();
      uids.first = uid + 1;
    }
  }
  return absl::OkStatus();
}

absl::Status MysqlSnapshot::ReadDigests(AccountId account, MailboxId mailbox, UidSpan uids,
                                        const std::function<bool(const DigestEntry&)>& entry) {
  for (uint32_t count = kWidePage; count == kWidePage && uids.first <= uids.last;) {
    Cursor c = connection_->Query(kDigests, account, mailbox, uids.first, uids.last, kWidePage);
    for (count = 0;; ++count) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      const DigestEntry digest = DigestOf(c);
      if (!entry(digest) || digest.uid == UINT32_MAX) return absl::OkStatus();
      uids.first = digest.uid + 1;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AccountRow>> MysqlSnapshot::Accounts(AccountId after, uint32_t limit) {
  std::vector<AccountRow> rows;
  RETURN_IF_ERROR(ForEach(connection_->Query(kAccounts, after, limit), [&](const Cursor& c) {
                    rows.push_back(AccountOf(c));
                  }).status());
  return rows;
}

absl::StatusOr<MailboxTotals> MysqlSnapshot::Totals(AccountId account, MailboxId mailbox) {
  Cursor c = connection_->Query(kTotals, account, mailbox);
  ASSIGN_OR_RETURN(const bool row, c.Next());
  if (!row) return MailboxTotals();
  return MailboxTotals{static_cast<uint32_t>(c.Int(0)), static_cast<uint32_t>(c.Int(1)),
                       static_cast<uint32_t>(c.Int(2)), c.Unsigned(3),
                       static_cast<Uid>(c.Int(4)),      c.Unsigned(5)};
}

}  // namespace posthorn::store_service
