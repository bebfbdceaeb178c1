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

constexpr sql::Migration kSteps[] = {{1, kFirst}};

}  // namespace

std::span<const sql::Migration> DirectorySchema() { return kSteps; }

}  // namespace posthorn::store_service
