#include "store-service/database/mysql/mail_schema.h"

namespace posthorn::store_service {
namespace {

// As sqlite/mail_schema.cc. Tables lead with the account: a mailbox's rows lie together, and no two
// lanes meet on a row (Galera certifies rows). No AUTO_INCREMENT: it has gaps and no order under
// Galera. Names are VARBINARY: they were made normal in code and are compared as bytes.
// `lane.touched` is only written to: see MysqlWriter::ReadLane and Condemn.
constexpr char kFirst[] = R"sql(
CREATE TABLE IF NOT EXISTS lane(lane INT UNSIGNED NOT NULL PRIMARY KEY, owner VARBINARY(255) NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL, batch BIGINT UNSIGNED NOT NULL, expires BIGINT NOT NULL,
  touched BIGINT UNSIGNED NOT NULL DEFAULT 0) ENGINE=InnoDB;
INSERT IGNORE INTO lane(lane, owner, epoch, batch, expires)
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 31)
  SELECT i, '', 0, 0, 0 FROM n;

CREATE TABLE IF NOT EXISTS replica(name VARBINARY(255) NOT NULL PRIMARY KEY, address VARBINARY(255) NOT NULL,
  version VARBINARY(255) NOT NULL, state INT NOT NULL, seen BIGINT NOT NULL) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS account_state(account BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  modseq BIGINT UNSIGNED NOT NULL, next_mailbox BIGINT UNSIGNED NOT NULL,
  next_email_id BIGINT UNSIGNED NOT NULL, last_uid_validity INT UNSIGNED NOT NULL,
  used_bytes BIGINT UNSIGNED NOT NULL, used_count BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS mailbox(account BIGINT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL,
  name BLOB NOT NULL, special_use VARBINARY(255) NOT NULL, uid_validity INT UNSIGNED NOT NULL,
  uid_next INT UNSIGNED NOT NULL, modseq BIGINT UNSIGNED NOT NULL, log_floor BIGINT UNSIGNED NOT NULL,
  messages INT UNSIGNED NOT NULL, unseen INT UNSIGNED NOT NULL, deleted INT UNSIGNED NOT NULL,
  size BIGINT UNSIGNED NOT NULL, PRIMARY KEY(account, mailbox)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS message(account BIGINT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL,
  uid INT UNSIGNED NOT NULL, modseq BIGINT UNSIGNED NOT NULL, flags SMALLINT UNSIGNED NOT NULL,
  kw_low BIGINT UNSIGNED NOT NULL, kw_high BIGINT UNSIGNED NOT NULL, internal_date BIGINT NOT NULL,
  zone SMALLINT NOT NULL, save_date BIGINT NOT NULL, size BIGINT UNSIGNED NOT NULL,
  email_id BIGINT UNSIGNED NOT NULL, thread_id BIGINT UNSIGNED NOT NULL, blob_key BIGINT UNSIGNED NOT NULL,
  blob_size BIGINT UNSIGNED NOT NULL, prefix_size INT UNSIGNED NOT NULL, prefix_hash BIGINT UNSIGNED NOT NULL,
  own_prefix MEDIUMBLOB NOT NULL, PRIMARY KEY(account, mailbox, uid)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS keyword(account BIGINT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL,
  bit INT UNSIGNED NOT NULL, name BLOB NOT NULL, PRIMARY KEY(account, mailbox, bit)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS expunge(account BIGINT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL,
  modseq BIGINT UNSIGNED NOT NULL, uid INT UNSIGNED NOT NULL, blob_key BIGINT UNSIGNED NOT NULL,
  time BIGINT NOT NULL, PRIMARY KEY(account, mailbox, modseq, uid), KEY by_time(time)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS dropped(account BIGINT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL,
  modseq BIGINT UNSIGNED NOT NULL, time BIGINT NOT NULL, PRIMARY KEY(account, mailbox)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS subscription(account BIGINT UNSIGNED NOT NULL, name VARBINARY(2048) NOT NULL,
  PRIMARY KEY(account, name)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS delivery(account BIGINT UNSIGNED NOT NULL, message_id VARBINARY(16) NOT NULL,
  copy INT UNSIGNED NOT NULL, mailbox BIGINT UNSIGNED NOT NULL, uid INT UNSIGNED NOT NULL,
  modseq BIGINT UNSIGNED NOT NULL, uid_validity INT UNSIGNED NOT NULL, time BIGINT NOT NULL,
  PRIMARY KEY(account, message_id, copy), KEY by_time(time)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS operation(account BIGINT UNSIGNED NOT NULL, operation VARBINARY(255) NOT NULL,
  time BIGINT NOT NULL, reply MEDIUMBLOB NOT NULL, PRIMARY KEY(account, operation)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS body(blob_key BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  prefix_hash BIGINT UNSIGNED NOT NULL, shared_prefix MEDIUMBLOB NOT NULL, digest MEDIUMBLOB NOT NULL)
  ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS other_prefix(blob_key BIGINT UNSIGNED NOT NULL,
  prefix_hash BIGINT UNSIGNED NOT NULL, shared_prefix MEDIUMBLOB NOT NULL,
  PRIMARY KEY(blob_key, prefix_hash)) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS suspect(blob_key BIGINT UNSIGNED NOT NULL PRIMARY KEY, since BIGINT NOT NULL)
  ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS condemned(blob_key BIGINT UNSIGNED NOT NULL PRIMARY KEY, time BIGINT NOT NULL,
  destroyed BIGINT NOT NULL) ENGINE=InnoDB;
)sql";

// Which process speaks for the replica, and since when. What MariaDB reads as IF NOT EXISTS, for a
// step that runs twice, is a comment to MySQL, which has no such words there.
constexpr char kInstances[] = R"sql(
ALTER TABLE replica ADD COLUMN /*M! IF NOT EXISTS */ instance VARBINARY(64) NOT NULL DEFAULT '';
ALTER TABLE replica ADD COLUMN /*M! IF NOT EXISTS */ started BIGINT NOT NULL DEFAULT 0;
)sql";

constexpr mysql::Step kSteps[] = {{1, kFirst}, {2, kInstances, 1}};

}  // namespace

std::span<const mysql::Step> MysqlMailSteps() { return kSteps; }

}  // namespace posthorn::store_service
