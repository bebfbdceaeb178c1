#include "store-service/database/mysql/batch_rows.h"

#include <map>
#include <set>
#include <tuple>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/many_rows.h"

namespace posthorn::store_service {
namespace {

using mysql::Connection;
using mysql::ManyRows;
using mysql::Script;

// Constant rows as a table of the name d, for statements that join it to a table. STRAIGHT_JOIN:
// they come first, then the other table's rows by their primary key.
constexpr std::string_view kUnion = " UNION ALL SELECT ";

constexpr char kBodies[] =
    "INSERT IGNORE INTO body(blob_key, prefix_hash, shared_prefix, digest) VALUES ";
constexpr char kOtherPrefixes[] =
    "INSERT IGNORE INTO other_prefix(blob_key, prefix_hash, shared_prefix) VALUES ";
constexpr char kAccounts[] =
    "INSERT INTO account_state(account, modseq, next_mailbox, next_email_id, last_uid_validity,"
    " used_bytes, used_count) VALUES ";
constexpr char kAccountsAgain[] =
    " ON DUPLICATE KEY UPDATE modseq=VALUES(modseq), next_mailbox=VALUES(next_mailbox),"
    " next_email_id=VALUES(next_email_id), last_uid_validity=VALUES(last_uid_validity),"
    " used_bytes=VALUES(used_bytes), used_count=VALUES(used_count)";
constexpr char kMailboxes[] =
    "INSERT INTO mailbox(account, mailbox, name, special_use, uid_validity, uid_next, modseq,"
    " log_floor, messages, unseen, deleted, size) VALUES ";
constexpr char kMailboxesAgain[] =
    " ON DUPLICATE KEY UPDATE name=VALUES(name), special_use=VALUES(special_use),"
    " uid_validity=VALUES(uid_validity), uid_next=VALUES(uid_next), modseq=VALUES(modseq),"
    " log_floor=greatest(log_floor, VALUES(log_floor)), messages=VALUES(messages),"
    " unseen=VALUES(unseen), deleted=VALUES(deleted), size=VALUES(size)";
constexpr char kKeywords[] = "INSERT INTO keyword(account, mailbox, bit, name) VALUES ";
constexpr char kMessages[] =
    "INSERT INTO message(account, mailbox, uid, modseq, flags, kw_low, kw_high, internal_date,"
    " zone, save_date, size, email_id, thread_id, blob_key, blob_size, prefix_size, prefix_hash,"
    " own_prefix) VALUES ";
constexpr char kCopies[] =
    "INSERT INTO message(account, mailbox, uid, modseq, flags, kw_low, kw_high, internal_date,"
    " zone, save_date, size, email_id, thread_id, blob_key, blob_size, prefix_size, prefix_hash,"
    " own_prefix) SELECT STRAIGHT_JOIN m.account, d.b, d.v, d.q, d.f, d.l, d.h, m.internal_date,"
    " m.zone, d.s, m.size, m.email_id, m.thread_id, m.blob_key, m.blob_size, m.prefix_size,"
    " m.prefix_hash, m.own_prefix FROM (SELECT ";
constexpr char kCopiesEnd[] =
    ") AS d JOIN message AS m ON m.account=d.a AND m.mailbox=d.m AND m.uid=d.u";
constexpr char kFlags[] = "UPDATE (SELECT ";
constexpr char kFlagsEnd[] =
    ") AS d STRAIGHT_JOIN message AS m ON m.account=d.a AND m.mailbox=d.m AND m.uid=d.u"
    " SET m.modseq=d.q, m.flags=d.f, m.kw_low=d.l, m.kw_high=d.h";
constexpr char kDelete[] = "DELETE m FROM (SELECT ";
constexpr char kDeleteEnd[] =
    ") AS d STRAIGHT_JOIN message AS m ON m.account=d.a AND m.mailbox=d.m AND m.uid=d.u";
constexpr char kExpunges[] =
    "INSERT INTO expunge(account, mailbox, modseq, uid, blob_key, time) VALUES ";
constexpr char kSubscribe[] = "INSERT IGNORE INTO subscription(account, name) VALUES ";
constexpr char kDeliveries[] =
    "INSERT INTO delivery(account, message_id, copy, mailbox, uid, modseq, uid_validity, time)"
    " VALUES ";
constexpr char kOperations[] = "INSERT INTO operation(account, operation, time, reply) VALUES ";

// How many rows the statements found.
struct Counts {
  int64_t bodies = 0;
  int64_t copies = 0;
  int64_t flags = 0;
};

absl::Status WriteBodies(Script& script, const WriteBatch& batch, Counts& counts) {
  ManyRows bodies(script, {kBodies}, &counts.bodies);
  for (const auto& [key, row] : batch.bodies()) {
    RETURN_IF_ERROR(bodies.Add(row.blob_key, row.prefix_hash, row.shared_prefix, row.digest));
  }
  return bodies.Finish();
}

// Some blobs had a row already. Those whose row has another prefix keep theirs beside it; rows of
// bodies never change, so what is read here holds.
absl::Status WriteOtherPrefixes(Connection& connection, const WriteBatch& batch) {
  std::string text = "SELECT blob_key, prefix_hash FROM body WHERE blob_key IN (";
  for (const auto& [key, row] : batch.bodies()) base::StrAppend(text, row.blob_key, ",");
  text.back() = ')';
  ASSIGN_OR_RETURN(const std::vector<uint64_t> stored, connection.Numbers(text));
  std::map<uint64_t, uint64_t> prefix_of;
  for (size_t i = 0; i + 1 < stored.size(); i += 2) prefix_of[stored[i]] = stored[i + 1];
  Script script(connection);
  ManyRows others(script, {kOtherPrefixes});
  for (const auto& [key, row] : batch.bodies()) {
    if (row.prefix_hash == 0 || prefix_of[row.blob_key] == row.prefix_hash) continue;
    RETURN_IF_ERROR(others.Add(row.blob_key, row.prefix_hash, row.shared_prefix));
  }
  RETURN_IF_ERROR(others.Finish());
  return script.Run();
}

absl::Status WriteAccounts(Script& script, const WriteBatch& batch) {
  ManyRows accounts(script, {kAccounts, kAccountsAgain});
  for (const auto& [account, row] : batch.accounts()) {
    RETURN_IF_ERROR(accounts.Add(row.account, row.modseq, row.next_mailbox, row.next_email_id,
                                 row.last_uid_validity, row.used_bytes, row.used_count));
  }
  RETURN_IF_ERROR(accounts.Finish());
  ManyRows mailboxes(script, {kMailboxes, kMailboxesAgain});
  for (const auto& [key, row] : batch.mailboxes()) {
    RETURN_IF_ERROR(mailboxes.Add(row.account, row.mailbox, row.name, row.special_use,
                                  row.uid_validity, row.uid_next, row.modseq, row.log_floor,
                                  row.messages, row.unseen, row.deleted, row.size));
  }
  RETURN_IF_ERROR(mailboxes.Finish());
  ManyRows keywords(script, {kKeywords});
  for (const KeywordRow& row : batch.keywords) {
    RETURN_IF_ERROR(keywords.Add(row.account, row.mailbox, row.bit, row.name));
  }
  return keywords.Finish();
}

absl::Status WriteMessages(Script& script, const WriteBatch& batch) {
  ManyRows messages(script, {kMessages});
  for (const MessageRow& row : batch.messages) {
    const MessageColumns& c = row.columns;
    RETURN_IF_ERROR(messages.Add(row.account, row.mailbox, c.uid, c.modseq, c.flags, c.keywords.low,
                                 c.keywords.high, c.internal_date_ms, c.zone_minutes,
                                 c.save_date_ms, c.size, c.email_id, c.thread_id, c.blob_key,
                                 row.blob_size, row.prefix_size, row.prefix_hash, row.own_prefix));
  }
  return messages.Finish();
}

absl::Status WriteCopies(Script& script, const WriteBatch& batch, Counts& counts) {
  using Place = std::tuple<AccountId, MailboxId, Uid>;
  std::set<Place> made;  // by the statement that is being put together
  ManyRows copies(script, {kCopies, kCopiesEnd, kUnion}, &counts.copies);
  for (const CopyRow& row : batch.copies) {
    if (made.contains({row.account, row.source_mailbox, row.source_uid})) {
      RETURN_IF_ERROR(copies.Finish());
      made.clear();
    }
    made.insert({row.account, row.mailbox, row.columns.uid});
    const MessageColumns& c = row.columns;
    RETURN_IF_ERROR(copies.AddText(base::StrCat(
        row.account, " AS a,", row.source_mailbox, " AS m,", row.source_uid, " AS u,", row.mailbox,
        " AS b,", c.uid, " AS v,", c.modseq, " AS q,", c.flags, " AS f,", c.keywords.low, " AS l,",
        c.keywords.high, " AS h,", c.save_date_ms, " AS s")));
  }
  return copies.Finish();
}

using NewestFlags = std::map<std::tuple<AccountId, MailboxId, Uid>, const FlagsRow*>;

// The last word on each message counts.
NewestFlags Newest(const WriteBatch& batch) {
  NewestFlags newest;
  for (const FlagsRow& row : batch.flags) newest[{row.account, row.mailbox, row.uid}] = &row;
  return newest;
}

absl::Status WriteFlags(Script& script, const NewestFlags& newest, Counts& counts) {
  ManyRows flags(script, {kFlags, kFlagsEnd, kUnion}, &counts.flags);
  for (const auto& [key, row] : newest) {
    RETURN_IF_ERROR(flags.AddText(base::StrCat(
        row->account, " AS a,", row->mailbox, " AS m,", row->uid, " AS u,", row->modseq, " AS q,",
        row->flags, " AS f,", row->keywords.low, " AS l,", row->keywords.high, " AS h")));
  }
  return flags.Finish();
}

absl::Status WriteExpunges(Script& script, const WriteBatch& batch) {
  ManyRows gone(script, {kDelete, kDeleteEnd, kUnion});
  ManyRows log(script, {kExpunges});
  for (const ExpungeRow& row : batch.expunges) {
    RETURN_IF_ERROR(
        gone.AddText(base::StrCat(row.account, " AS a,", row.mailbox, " AS m,", row.uid, " AS u")));
    RETURN_IF_ERROR(
        log.Add(row.account, row.mailbox, row.modseq, row.uid, row.blob_key, row.time_ms));
  }
  RETURN_IF_ERROR(gone.Finish());
  return log.Finish();
}

std::string OfMailbox(std::string_view head, const DeletedMailboxRow& row) {
  return base::StrCat(head, " WHERE account=", row.account, " AND mailbox=", row.mailbox);
}

// Its messages go later, in steps (PurgeDropped).
absl::Status DropMailboxes(Script& script, const WriteBatch& batch) {
  for (const DeletedMailboxRow& row : batch.deleted_mailboxes) {
    RETURN_IF_ERROR(script.Add(
        base::StrCat("INSERT INTO dropped(account, mailbox, modseq, time) VALUES (", row.account,
                     ",", row.mailbox, ",", row.modseq, ",", row.time_ms, ")")));
    RETURN_IF_ERROR(script.Add(OfMailbox("DELETE FROM keyword", row)));
    RETURN_IF_ERROR(script.Add(OfMailbox("DELETE FROM mailbox", row)));
  }
  return absl::OkStatus();
}

// DELETE FROM table WHERE account=… AND column=…
std::string DeleteOf(AccountId account, std::string_view table, std::string_view column,
                     std::string_view value) {
  std::string text =
      base::StrCat("DELETE FROM ", table, " WHERE account=", account, " AND ", column, "=");
  mysql::AppendLiteral(text, value);
  return text;
}

absl::Status WriteMarks(Script& script, const WriteBatch& batch) {
  for (const SubscriptionRow& row : batch.subscriptions) {
    if (row.state == SubscriptionRow::State::kUnsubscribed) {
      RETURN_IF_ERROR(script.Add(DeleteOf(row.account, "subscription", "name", row.name)));
      continue;
    }
    ManyRows one(script, {kSubscribe});
    RETURN_IF_ERROR(one.Add(row.account, row.name));
    RETURN_IF_ERROR(one.Finish());
  }
  ManyRows deliveries(script, {kDeliveries});
  for (const DeliveryRow& row : batch.deliveries) {
    RETURN_IF_ERROR(deliveries.Add(row.key.account, row.key.message_id.bytes(), row.key.copy,
                                   row.mailbox, row.uid, row.modseq, row.uid_validity,
                                   row.time_ms));
  }
  RETURN_IF_ERROR(deliveries.Finish());
  for (const auto& [account, operation] : batch.old_operations) {
    RETURN_IF_ERROR(script.Add(DeleteOf(account, "operation", "operation", operation)));
  }
  ManyRows operations(script, {kOperations});
  for (const OperationRow& row : batch.operations) {
    RETURN_IF_ERROR(operations.Add(row.account, row.operation, row.time_ms, row.reply));
  }
  return operations.Finish();
}

// The statement acts on each of the rows it was given, or something is badly wrong.
absl::Status ExpectAll(int64_t found, size_t wanted, std::string_view what) {
  if (found == static_cast<int64_t>(wanted)) return absl::OkStatus();
  return base::Internal(
      base::StrCat(what, " of ", wanted, " messages, of which ", found, " were there"));
}

}  // namespace

absl::Status WriteRows(Connection& connection, Script& script, const WriteBatch& batch) {
  Counts counts;
  const NewestFlags flags = Newest(batch);
  RETURN_IF_ERROR(WriteBodies(script, batch, counts));
  RETURN_IF_ERROR(WriteAccounts(script, batch));
  RETURN_IF_ERROR(WriteMessages(script, batch));
  RETURN_IF_ERROR(WriteCopies(script, batch, counts));
  RETURN_IF_ERROR(WriteFlags(script, flags, counts));
  RETURN_IF_ERROR(WriteExpunges(script, batch));
  RETURN_IF_ERROR(DropMailboxes(script, batch));
  RETURN_IF_ERROR(WriteMarks(script, batch));
  RETURN_IF_ERROR(script.Run());
  RETURN_IF_ERROR(ExpectAll(counts.copies, batch.copies.size(), "copy"));
  RETURN_IF_ERROR(ExpectAll(counts.flags, flags.size(), "flags"));
  if (counts.bodies == static_cast<int64_t>(batch.bodies().size())) return absl::OkStatus();
  return WriteOtherPrefixes(connection, batch);
}

}  // namespace posthorn::store_service
