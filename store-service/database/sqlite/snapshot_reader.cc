#include "store-service/database/sqlite/snapshot_reader.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr char kFindAccount[] =
    "SELECT account, modseq, next_mailbox, next_email_id, last_uid_validity, used_bytes, used_count"
    " FROM account WHERE account=?";
constexpr char kAccounts[] =
    "SELECT account, modseq, next_mailbox, next_email_id, last_uid_validity, used_bytes, used_count"
    " FROM account WHERE account>? ORDER BY account LIMIT ?";
constexpr char kMailboxes[] =
    "SELECT account, mailbox, name, special_use, uid_validity, uid_next, modseq, log_floor, "
    "messages,"
    " unseen, deleted, size FROM mailbox WHERE account=? ORDER BY mailbox";
constexpr char kFindMailbox[] =
    "SELECT account, mailbox, name, special_use, uid_validity, uid_next, modseq, log_floor, "
    "messages,"
    " unseen, deleted, size FROM mailbox WHERE account=? AND mailbox=?";
constexpr char kAllKeywords[] =
    "SELECT mailbox, bit, name FROM keyword WHERE account=? ORDER BY mailbox, bit";
constexpr char kKeywords[] =
    "SELECT mailbox, bit, name FROM keyword WHERE account=? AND mailbox=? ORDER BY bit";
constexpr char kSubscriptions[] = "SELECT name FROM subscription WHERE account=? ORDER BY name";
constexpr char kOperations[] =
    "SELECT operation, time, reply FROM operation WHERE account=? ORDER BY time";
constexpr char kColumns[] =
    "SELECT uid, flags, zone, modseq, kw_low, kw_high, internal_date, save_date, size, email_id,"
    " thread_id, blob_key FROM message WHERE account=? AND mailbox=? AND modseq>? ORDER BY uid";
constexpr char kExpunged[] =
    "SELECT uid FROM expunge WHERE account=? AND mailbox=? AND modseq>? ORDER BY modseq, uid";
constexpr char kFindDelivery[] =
    "SELECT mailbox, uid, modseq, uid_validity, time FROM delivery WHERE account=? AND message_id=?"
    " AND copy=?";
constexpr char kPlaces[] =
    "SELECT m.uid, m.blob_key, m.blob_size, m.own_prefix, m.prefix_hash, b.prefix_hash, "
    "b.shared_prefix,"
    " o.shared_prefix FROM message AS m LEFT JOIN body AS b ON b.blob_key=m.blob_key"
    " LEFT JOIN other_prefix AS o ON o.blob_key=m.blob_key AND o.prefix_hash=m.prefix_hash"
    " WHERE m.account=? AND m.mailbox=? AND m.uid BETWEEN ? AND ? ORDER BY m.uid";
constexpr char kDigests[] =
    "SELECT m.uid, m.prefix_size, m.blob_key, m.blob_size, b.digest FROM message AS m"
    " LEFT JOIN body AS b ON b.blob_key=m.blob_key"
    " WHERE m.account=? AND m.mailbox=? AND m.uid BETWEEN ? AND ? ORDER BY m.uid";
// SEEN is 1, DELETED 8.
constexpr char kTotals[] =
    "SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0),"
    " coalesce(sum(size), 0), coalesce(max(uid), 0), coalesce(max(modseq), 0)"
    " FROM message WHERE account=? AND mailbox=?";
constexpr char kSuspects[] = "SELECT blob_key, since FROM suspect ORDER BY blob_key";
constexpr char kCondemned[] =
    "SELECT blob_key FROM condemned WHERE destroyed=0 AND time<? ORDER BY blob_key";
constexpr char kReferences[] =
    "SELECT blob_key FROM message UNION ALL SELECT blob_key FROM expunge";

AccountRow ReadAccount(const sqlite::Cursor& c) {
  AccountRow row;
  row.account = c.Unsigned(0);
  row.modseq = c.Unsigned(1);
  row.next_mailbox = c.Unsigned(2);
  row.next_email_id = c.Unsigned(3);
  row.last_uid_validity = static_cast<uint32_t>(c.Int(4));
  row.used_bytes = c.Unsigned(5);
  row.used_count = c.Unsigned(6);
  return row;
}

MailboxRow ReadMailbox(const sqlite::Cursor& c) {
  MailboxRow row;
  row.account = c.Unsigned(0);
  row.mailbox = c.Unsigned(1);
  row.name = c.Text(2);
  row.special_use = c.Text(3);
  row.uid_validity = static_cast<uint32_t>(c.Int(4));
  row.uid_next = static_cast<Uid>(c.Int(5));
  row.modseq = c.Unsigned(6);
  row.log_floor = c.Unsigned(7);
  row.messages = static_cast<uint32_t>(c.Int(8));
  row.unseen = static_cast<uint32_t>(c.Int(9));
  row.deleted = static_cast<uint32_t>(c.Int(10));
  row.size = c.Unsigned(11);
  return row;
}

KeywordRow ReadKeyword(const sqlite::Cursor& c, AccountId account) {
  return {account, c.Unsigned(0), static_cast<uint32_t>(c.Int(1)), std::string(c.Text(2))};
}

MessageColumns ReadMessage(const sqlite::Cursor& c) {
  MessageColumns row;
  row.uid = static_cast<Uid>(c.Int(0));
  row.flags = static_cast<uint16_t>(c.Int(1));
  row.zone_minutes = static_cast<int16_t>(c.Int(2));
  row.modseq = c.Unsigned(3);
  row.keywords = {c.Unsigned(4), c.Unsigned(5)};
  row.internal_date_ms = c.Int(6);
  row.save_date_ms = c.Int(7);
  row.size = c.Unsigned(8);
  row.email_id = c.Unsigned(9);
  row.thread_id = c.Unsigned(10);
  row.blob_key = c.Unsigned(11);
  return row;
}

// Calls `row` for each row of `cursor`.
template <class F>
absl::Status ForEach(sqlite::Cursor cursor, F row) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, cursor.Next());
    if (!more) return absl::OkStatus();
    row(cursor);
  }
}

}  // namespace

SnapshotReader::SnapshotReader(std::unique_ptr<sqlite::Connection> connection, GiveBack give_back,
                               sqlite::Transaction transaction)
    : connection_(std::move(connection)),
      give_back_(std::move(give_back)),
      transaction_(std::move(transaction)) {}

absl::StatusOr<std::unique_ptr<ReadSnapshot>> SnapshotReader::Begin(
    std::unique_ptr<sqlite::Connection> connection, GiveBack give_back) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                   sqlite::Transaction::Begin(*connection, sqlite::Transaction::Kind::kRead));
  return std::unique_ptr<ReadSnapshot>(
      new SnapshotReader(std::move(connection), std::move(give_back), std::move(transaction)));
}

SnapshotReader::~SnapshotReader() {
  transaction_.reset();
  give_back_(std::move(connection_));
}

absl::StatusOr<AccountImage> SnapshotReader::LoadAccount(AccountId account) {
  AccountImage image;
  image.row.account = account;
  RETURN_IF_ERROR(ForEach(connection_->Query(kFindAccount, account), [&](const sqlite::Cursor& c) {
    image.row = ReadAccount(c);
    image.exists = true;
  }));
  if (!image.exists) return image;
  RETURN_IF_ERROR(LoadLists(account, image));
  return image;
}

absl::Status SnapshotReader::LoadLists(AccountId account, AccountImage& image) {
  RETURN_IF_ERROR(ForEach(connection_->Query(kMailboxes, account), [&](const sqlite::Cursor& c) {
    image.mailboxes.push_back(ReadMailbox(c));
  }));
  RETURN_IF_ERROR(ForEach(connection_->Query(kAllKeywords, account), [&](const sqlite::Cursor& c) {
    image.keywords.push_back(ReadKeyword(c, account));
  }));
  RETURN_IF_ERROR(
      ForEach(connection_->Query(kSubscriptions, account),
              [&](const sqlite::Cursor& c) { image.subscriptions.emplace_back(c.Text(0)); }));
  return ForEach(connection_->Query(kOperations, account), [&](const sqlite::Cursor& c) {
    image.operations.push_back({account, std::string(c.Text(0)), c.Int(1), std::string(c.Text(2))});
  });
}

absl::StatusOr<std::optional<MailboxRow>> SnapshotReader::FindMailbox(AccountId account,
                                                                      MailboxId mailbox) {
  std::optional<MailboxRow> found;
  RETURN_IF_ERROR(ForEach(connection_->Query(kFindMailbox, account, mailbox),
                          [&](const sqlite::Cursor& c) { found = ReadMailbox(c); }));
  return found;
}

absl::StatusOr<std::vector<KeywordRow>> SnapshotReader::Keywords(AccountId account,
                                                                 MailboxId mailbox) {
  std::vector<KeywordRow> rows;
  RETURN_IF_ERROR(
      ForEach(connection_->Query(kKeywords, account, mailbox),
              [&](const sqlite::Cursor& c) { rows.push_back(ReadKeyword(c, account)); }));
  return rows;
}

absl::Status SnapshotReader::ReadColumns(AccountId account, MailboxId mailbox, ModSeq since,
                                         const std::function<void(const MessageColumns&)>& row) {
  return ForEach(connection_->Query(kColumns, account, mailbox, since),
                 [&](const sqlite::Cursor& c) { row(ReadMessage(c)); });
}

absl::Status SnapshotReader::ReadExpunged(AccountId account, MailboxId mailbox, ModSeq since,
                                          const std::function<void(Uid)>& gone) {
  return ForEach(connection_->Query(kExpunged, account, mailbox, since),
                 [&](const sqlite::Cursor& c) { gone(static_cast<Uid>(c.Int(0))); });
}

absl::StatusOr<std::optional<DeliveryRow>> SnapshotReader::FindDelivery(const DeliveryKey& key) {
  std::optional<DeliveryRow> found;
  RETURN_IF_ERROR(ForEach(connection_->Query(kFindDelivery, key.account,
                                             sqlite::Bytes(key.message_id.bytes()), key.copy),
                          [&](const sqlite::Cursor& c) {
                            found = DeliveryRow{key,
                                                c.Unsigned(0),
                                                static_cast<Uid>(c.Int(1)),
                                                c.Unsigned(2),
                                                static_cast<uint32_t>(c.Int(3)),
                                                c.Int(4)};
                          }));
  return found;
}

absl::StatusOr<std::optional<MessagePlace>> SnapshotReader::FindPlace(AccountId account,
                                                                      MailboxId mailbox, Uid uid) {
  std::optional<MessagePlace> found;
  RETURN_IF_ERROR(ReadPlaces(account, mailbox, {uid, uid}, [&](MessagePlace place) {
    found = std::move(place);
    return true;
  }));
  return found;
}

absl::Status SnapshotReader::ReadPlaces(AccountId account, MailboxId mailbox, UidSpan uids,
                                        const std::function<bool(MessagePlace)>& place) {
  sqlite::Cursor c = connection_->Query(kPlaces, account, mailbox, uids.first, uids.last);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, c.Next());
    if (!more) return absl::OkStatus();
    MessagePlace found{static_cast<Uid>(c.Int(0)), c.Unsigned(1), c.Unsigned(2),
                       std::string(c.Text(3))};
    const uint64_t hash = c.Unsigned(4);
    const bool in_body = hash != 0 && !c.IsNull(5) && c.Unsigned(5) == hash;
    if (hash != 0) found.prefix += c.Text(in_body ? 6 : 7);
    if (!place(std::move(found))) return absl::OkStatus();
  }
}

absl::Status SnapshotReader::ReadDigests(AccountId account, MailboxId mailbox, UidSpan uids,
                                         const std::function<bool(const DigestEntry&)>& entry) {
  sqlite::Cursor c = connection_->Query(kDigests, account, mailbox, uids.first, uids.last);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, c.Next());
    if (!more) return absl::OkStatus();
    const DigestEntry digest{static_cast<Uid>(c.Int(0)), static_cast<uint32_t>(c.Int(1)),
                             c.Unsigned(2), c.Unsigned(3), c.Text(4)};
    if (!entry(digest)) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<AccountRow>> SnapshotReader::Accounts(AccountId after, uint32_t limit) {
  std::vector<AccountRow> rows;
  RETURN_IF_ERROR(ForEach(connection_->Query(kAccounts, after, limit),
                          [&](const sqlite::Cursor& c) { rows.push_back(ReadAccount(c)); }));
  return rows;
}

absl::StatusOr<MailboxTotals> SnapshotReader::Totals(AccountId account, MailboxId mailbox) {
  MailboxTotals totals;
  RETURN_IF_ERROR(
      ForEach(connection_->Query(kTotals, account, mailbox), [&](const sqlite::Cursor& c) {
        totals = {static_cast<uint32_t>(c.Int(0)), static_cast<uint32_t>(c.Int(1)),
                  static_cast<uint32_t>(c.Int(2)), c.Unsigned(3),
                  static_cast<Uid>(c.Int(4)),      c.Unsigned(5)};
      }));
  return totals;
}

absl::Status SnapshotReader::ReadReferences(const std::function<void(uint64_t blob_key)>& blob) {
  return ForEach(connection_->Query(kReferences),
                 [&](const sqlite::Cursor& c) { blob(c.Unsigned(0)); });
}

absl::StatusOr<std::vector<SuspectRow>> SnapshotReader::Suspects() {
  std::vector<SuspectRow> rows;
  RETURN_IF_ERROR(ForEach(connection_->Query(kSuspects), [&](const sqlite::Cursor& c) {
    rows.push_back({c.Unsigned(0), c.Int(1)});
  }));
  return rows;
}

absl::StatusOr<std::vector<uint64_t>> SnapshotReader::Condemned(int64_t before_ms) {
  std::vector<uint64_t> keys;
  RETURN_IF_ERROR(ForEach(connection_->Query(kCondemned, before_ms),
                          [&](const sqlite::Cursor& c) { keys.push_back(c.Unsigned(0)); }));
  return keys;
}

}  // namespace posthorn::store_service
