#include "store-service/database/sqlite/mail_schema.h"

namespace posthorn::store_service {
namespace {

// Tables lead with the account, so that the schema shards. Keys are our own numbers, never rowids;
// `body` alone is keyed by the blob, because all recipients of a message share its row, and keeps
// large values out of the hot rows.
constexpr char kFirst[] = R"sql(
CREATE TABLE lane(lane INTEGER PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL,
  batch INTEGER NOT NULL, expires INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 31)
  INSERT INTO lane SELECT i, '', 0, 0, 0 FROM n;

CREATE TABLE account(account INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, next_mailbox INTEGER NOT NULL,
  next_email_id INTEGER NOT NULL, last_uid_validity INTEGER NOT NULL, used_bytes INTEGER NOT NULL,
  used_count INTEGER NOT NULL);

CREATE TABLE mailbox(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, name TEXT NOT NULL,
  special_use TEXT NOT NULL, uid_validity INTEGER NOT NULL, uid_next INTEGER NOT NULL,
  modseq INTEGER NOT NULL, log_floor INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL,
  deleted INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY(account, mailbox)) WITHOUT ROWID;

CREATE TABLE message(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,
  modseq INTEGER NOT NULL, flags INTEGER NOT NULL, kw_low INTEGER NOT NULL, kw_high INTEGER NOT NULL,
  internal_date INTEGER NOT NULL, zone INTEGER NOT NULL, save_date INTEGER NOT NULL, size INTEGER NOT NULL,
  email_id INTEGER NOT NULL, thread_id INTEGER NOT NULL, blob_key INTEGER NOT NULL,
  blob_size INTEGER NOT NULL, prefix_size INTEGER NOT NULL, prefix_hash INTEGER NOT NULL,
  own_prefix BLOB NOT NULL, PRIMARY KEY(account, mailbox, uid)) WITHOUT ROWID;

CREATE TABLE keyword(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, bit INTEGER NOT NULL,
  name TEXT NOT NULL, PRIMARY KEY(account, mailbox, bit)) WITHOUT ROWID;

CREATE TABLE expunge(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL,
  uid INTEGER NOT NULL, blob_key INTEGER NOT NULL, time INTEGER NOT NULL,
  PRIMARY KEY(account, mailbox, modseq, uid)) WITHOUT ROWID;

CREATE TABLE subscription(account INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY(account, name)) WITHOUT ROWID;

CREATE TABLE delivery(account INTEGER NOT NULL, message_id BLOB NOT NULL, copy INTEGER NOT NULL,
  mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, modseq INTEGER NOT NULL, uid_validity INTEGER NOT NULL,
  time INTEGER NOT NULL, PRIMARY KEY(account, message_id, copy)) WITHOUT ROWID;

CREATE TABLE operation(account INTEGER NOT NULL, operation BLOB NOT NULL, time INTEGER NOT NULL,
  reply BLOB NOT NULL, PRIMARY KEY(account, operation)) WITHOUT ROWID;

CREATE TABLE body(blob_key INTEGER PRIMARY KEY, prefix_hash INTEGER NOT NULL, shared_prefix BLOB NOT NULL,
  digest BLOB NOT NULL);
-- Shared prefixes of blobs that were delivered with more than one.
CREATE TABLE other_prefix(blob_key INTEGER NOT NULL, prefix_hash INTEGER NOT NULL,
  shared_prefix BLOB NOT NULL, PRIMARY KEY(blob_key, prefix_hash)) WITHOUT ROWID;

CREATE TABLE suspect(blob_key INTEGER PRIMARY KEY, since INTEGER NOT NULL);
CREATE TABLE condemned(blob_key INTEGER PRIMARY KEY, time INTEGER NOT NULL, destroyed INTEGER NOT NULL);
)sql";

// Deleted mailboxes whose messages are still on their way to the expunge log.
constexpr char kDropped[] = R"sql(
CREATE TABLE dropped(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL,
  time INTEGER NOT NULL, PRIMARY KEY(account, mailbox)) WITHOUT ROWID;
)sql";

constexpr char kReplicas[] = R"sql(
CREATE TABLE replica(name TEXT NOT NULL PRIMARY KEY, address TEXT NOT NULL, version TEXT NOT NULL,
  state INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
)sql";

// Which process speaks for the replica, and since when.
constexpr char kInstances[] = R"sql(
ALTER TABLE replica ADD COLUMN instance TEXT NOT NULL DEFAULT '';
ALTER TABLE replica ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
)sql";

constexpr sqlite::Migration kMigrations[] = {
    {1, kFirst}, {2, kDropped}, {3, kReplicas}, {4, kInstances, 3}};

}  // namespace

std::span<const sqlite::Migration> MailMigrations() { return kMigrations; }

}  // namespace posthorn::store_service
