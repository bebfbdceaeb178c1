// What reads whole tables, for the collector.

#include "lib/base/status_macros.h"
#include "store-service/database/mysql/mysql_snapshot.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;

constexpr uint32_t kPage = 10000;

// After a place in the order of the primary key; row comparison "(a,b)>(?,?)" would not use it.
constexpr char kMessages[] =
    "SELECT account, mailbox, uid, blob_key FROM message FORCE INDEX(PRIMARY) WHERE account>? OR"
    " (account=? AND mailbox>?) OR (account=? AND mailbox=? AND uid>?)"
    " ORDER BY account, mailbox, uid LIMIT ?";
constexpr char kExpunged[] =
    "SELECT account, mailbox, uid, blob_key, modseq FROM expunge FORCE INDEX(PRIMARY) WHERE"
    " account>? OR (account=? AND mailbox>?) OR (account=? AND mailbox=? AND modseq>?) OR"
    " (account=? AND mailbox=? AND modseq=? AND uid>?)"
    " ORDER BY account, mailbox, modseq, uid LIMIT ?";
constexpr char kSuspects[] =
    "SELECT blob_key, since FROM suspect WHERE blob_key>? ORDER BY blob_key LIMIT ?";
constexpr char kCondemned[] =
    "SELECT blob_key FROM condemned WHERE blob_key>? AND destroyed=0 AND time<?"
    " ORDER BY blob_key LIMIT ?";

struct Place {
  AccountId account = 0;
  MailboxId mailbox = 0;
  ModSeq modseq = 0;
  Uid uid = 0;
};

}  // namespace

absl::Status MysqlSnapshot::ReadReferences(const std::function<void(uint64_t blob_key)>& blob) {
  Place p;
  for (uint32_t count = kPage; count == kPage;) {
    Cursor c = connection_->Query(kMessages, p.account, p.account, p.mailbox, p.account, p.mailbox,
                                  p.uid, kPage);
    for (count = 0;; ++count) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      p = {c.Unsigned(0), c.Unsigned(1), 0, static_cast<Uid>(c.Int(2))};
      blob(c.Unsigned(3));
    }
  }
  p = {};
  for (uint32_t count = kPage; count == kPage;) {
    Cursor c = connection_->Query(kExpunged, p.account, p.account, p.mailbox, p.account, p.mailbox,
                                  p.modseq, p.account, p.mailbox, p.modseq, p.uid, kPage);
    for (count = 0;; ++count) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      p = {c.Unsigned(0), c.Unsigned(1), c.Unsigned(4), static_cast<Uid>(c.Int(2))};
      blob(c.Unsigned(3));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SuspectRow>> MysqlSnapshot::Suspects() {
  std::vector<SuspectRow> rows;
  for (size_t before = 0;;) {
    Cursor c = connection_->Query(kSuspects, rows.empty() ? 0 : rows.back().blob_key, kPage);
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      rows.push_back({c.Unsigned(0), c.Int(1)});
    }
    if (rows.size() < before + kPage) return rows;
    before = rows.size();
  }
}

absl::StatusOr<std::vector<uint64_t>> MysqlSnapshot::Condemned(int64_t before_ms) {
  std::vector<uint64_t> keys;
  for (size_t before = 0;;) {
    Cursor c = connection_->Query(kCondemned, keys.empty() ? 0 : keys.back(), before_ms, kPage);
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, c.Next());
      if (!more) break;
      keys.push_back(c.Unsigned(0));
    }
    if (keys.size() < before + kPage) return keys;
    before = keys.size();
  }
}

}  // namespace posthorn::store_service
