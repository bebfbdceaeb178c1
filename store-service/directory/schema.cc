#include "store-service/directory/schema.h"

namespace posthorn::store_service {
namespace {

// Names are compared as bytes: their normal form is made in code.
constexpr char kFirst[] = R"(
CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one=1), revision INTEGER NOT NULL);
INSERT INTO head VALUES(1,0);
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES('domain',0),('account',0),('alias',0);

CREATE TABLE object(
  kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
  directory INTEGER NOT NULL, sealed INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(kind,name)) WITHOUT ROWID;
CREATE TABLE credential(
  kind TEXT NOT NULL, owner TEXT NOT NULL, field TEXT NOT NULL,
  hash TEXT NOT NULL, scram TEXT NOT NULL,
  PRIMARY KEY(kind,owner,field)) WITHOUT ROWID;
CREATE TABLE revision(
  revision INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE revision_change(
  revision INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  sealed INTEGER NOT NULL, before BLOB, after BLOB,
  PRIMARY KEY(revision,position)) WITHOUT ROWID;

CREATE TABLE domain(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
  session_revision INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE domain_name(name TEXT PRIMARY KEY, domain INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX domain_name_of ON domain_name(domain);
CREATE TABLE address(
  domain INTEGER NOT NULL, local TEXT NOT NULL, type INTEGER NOT NULL, object INTEGER NOT NULL,
  PRIMARY KEY(domain,local)) WITHOUT ROWID;
CREATE TABLE account(
  id INTEGER PRIMARY KEY, domain INTEGER NOT NULL, local TEXT NOT NULL, revision INTEGER NOT NULL,
  session_revision INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX account_in_domain ON account(domain,local||'@');
CREATE INDEX account_by_name ON account(local||'@',domain);
CREATE TABLE alias(
  id INTEGER PRIMARY KEY, domain INTEGER NOT NULL, local TEXT NOT NULL, revision INTEGER NOT NULL,
  session_revision INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX alias_in_domain ON alias(domain,local||'@');
CREATE INDEX alias_by_name ON alias(local||'@',domain);
CREATE TABLE deleting(account INTEGER PRIMARY KEY, since INTEGER NOT NULL);

CREATE TABLE journal(id BLOB PRIMARY KEY, description TEXT NOT NULL, registered INTEGER NOT NULL) WITHOUT ROWID;
)";

// For several replicas on one database: who made a commit, and which object a change was of.
// Columns instead of indexes on expressions, which MySQL has not.
constexpr char kSecond[] = R"(
ALTER TABLE revision ADD COLUMN commit_id BLOB;
ALTER TABLE revision_change ADD COLUMN object INTEGER NOT NULL DEFAULT 0;
CREATE TABLE key_check(one INTEGER PRIMARY KEY CHECK(one=1), digest BLOB NOT NULL);
DROP INDEX account_in_domain;
DROP INDEX account_by_name;
ALTER TABLE account ADD COLUMN local_at TEXT GENERATED ALWAYS AS (local||'@') VIRTUAL;
CREATE INDEX account_in_domain ON account(domain,local_at);
CREATE INDEX account_by_name ON account(local_at,domain);
DROP INDEX alias_in_domain;
DROP INDEX alias_by_name;
ALTER TABLE alias ADD COLUMN local_at TEXT GENERATED ALWAYS AS (local||'@') VIRTUAL;
CREATE INDEX alias_in_domain ON alias(domain,local_at);
CREATE INDEX alias_by_name ON alias(local_at,domain);
)";

// The same as both steps above. Local parts and domains as long as RFC 5321 allows, with room for
// UTF-8; names of objects up to ObjectStore::kMaxName.
constexpr char kMysql[] = R"(
CREATE TABLE IF NOT EXISTS head(one BIGINT PRIMARY KEY, revision BIGINT NOT NULL) ENGINE=InnoDB;
INSERT IGNORE INTO head VALUES(1,0);
CREATE TABLE IF NOT EXISTS counter(name VARBINARY(64) PRIMARY KEY, value BIGINT NOT NULL) ENGINE=InnoDB;
INSERT IGNORE INTO counter VALUES('domain',0),('account',0),('alias',0);
CREATE TABLE IF NOT EXISTS key_check(one BIGINT PRIMARY KEY, digest VARBINARY(64) NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS object(
  kind VARBINARY(255) NOT NULL, name VARBINARY(1000) NOT NULL, revision BIGINT NOT NULL,
  directory BIGINT NOT NULL, sealed BIGINT NOT NULL, data LONGBLOB NOT NULL,
  PRIMARY KEY(kind,name)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS credential(
  kind VARBINARY(255) NOT NULL, owner VARBINARY(1001) NOT NULL, field VARBINARY(255) NOT NULL,
  hash BLOB NOT NULL, scram BLOB NOT NULL,
  PRIMARY KEY(kind,owner,field)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS revision(
  revision BIGINT PRIMARY KEY, time_ms BIGINT NOT NULL, author BLOB NOT NULL, reason BLOB NOT NULL,
  commit_id VARBINARY(16)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS revision_change(
  revision BIGINT NOT NULL, position BIGINT NOT NULL, kind VARBINARY(255) NOT NULL,
  name VARBINARY(1000) NOT NULL, sealed BIGINT NOT NULL, `before` LONGBLOB, `after` LONGBLOB,
  object BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY(revision,position)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS domain(
  id BIGINT PRIMARY KEY, name VARBINARY(300) NOT NULL, revision BIGINT NOT NULL,
  session_revision BIGINT NOT NULL, data LONGBLOB NOT NULL,
  UNIQUE KEY domain_by_name(name)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS domain_name(
  name VARBINARY(300) PRIMARY KEY, domain BIGINT NOT NULL, KEY domain_name_of(domain)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS address(
  domain BIGINT NOT NULL, local VARBINARY(300) NOT NULL, type BIGINT NOT NULL, object BIGINT NOT NULL,
  PRIMARY KEY(domain,local)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS account(
  id BIGINT PRIMARY KEY, domain BIGINT NOT NULL, local VARBINARY(300) NOT NULL,
  revision BIGINT NOT NULL, session_revision BIGINT NOT NULL, data LONGBLOB NOT NULL,
  local_at VARBINARY(301) GENERATED ALWAYS AS (concat(local,'@')) STORED,
  KEY account_in_domain(domain,local_at), KEY account_by_name(local_at,domain)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS alias(
  id BIGINT PRIMARY KEY, domain BIGINT NOT NULL, local VARBINARY(300) NOT NULL,
  revision BIGINT NOT NULL, session_revision BIGINT NOT NULL, data LONGBLOB NOT NULL,
  local_at VARBINARY(301) GENERATED ALWAYS AS (concat(local,'@')) STORED,
  KEY alias_in_domain(domain,local_at), KEY alias_by_name(local_at,domain)) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS deleting(account BIGINT PRIMARY KEY, since BIGINT NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS journal(
  id VARBINARY(16) PRIMARY KEY, description BLOB NOT NULL, registered BIGINT NOT NULL) ENGINE=InnoDB;
)";

constexpr sql::Migration kSteps[] = {{1, kFirst, ""}, {2, kSecond, kMysql}};

}  // namespace

std::span<const sql::Migration> DirectorySchema() { return kSteps; }

}  // namespace posthorn::store_service
