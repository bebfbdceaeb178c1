#include "store-service/queue/schema.h"

namespace posthorn::store_service {
namespace {

// queue_journal: `owner` is the name of the queue replica that has it, `instance` its process;
// `beat` changes with each renewal, `closed` says that the last owner ended in order.
constexpr char kFirst[] = R"(
CREATE TABLE queue_journal(
  id BLOB PRIMARY KEY, owner TEXT NOT NULL, instance BLOB NOT NULL, epoch INTEGER NOT NULL,
  batch INTEGER NOT NULL, expires_ms INTEGER NOT NULL, beat INTEGER NOT NULL,
  closed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queue_entry(
  journal BLOB NOT NULL, message BLOB NOT NULL, part INTEGER NOT NULL, blob_key INTEGER NOT NULL,
  record BLOB NOT NULL, PRIMARY KEY(journal,message,part)) WITHOUT ROWID;
CREATE INDEX queue_entry_blob ON queue_entry(blob_key);
)";

constexpr char kFirstMysql[] = R"(
CREATE TABLE IF NOT EXISTS queue_journal(
  id BINARY(16) PRIMARY KEY, owner VARBINARY(255) NOT NULL, instance BINARY(16) NOT NULL,
  epoch BIGINT NOT NULL, batch BIGINT NOT NULL, expires_ms BIGINT NOT NULL, beat BIGINT NOT NULL,
  closed TINYINT NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS queue_entry(
  journal BINARY(16) NOT NULL, message BINARY(16) NOT NULL, part BIGINT NOT NULL,
  blob_key BIGINT NOT NULL, record MEDIUMBLOB NOT NULL, PRIMARY KEY(journal,message,part),
  KEY queue_entry_blob(blob_key)) ENGINE=InnoDB;
)";

// Where the owner's process is reached, and since when it has the journal.
constexpr char kOwners[] = R"(
ALTER TABLE queue_journal ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_journal ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
)";

constexpr char kOwnersMysql[] = R"(
ALTER TABLE queue_journal ADD COLUMN /*M! IF NOT EXISTS */ address VARBINARY(255) NOT NULL DEFAULT '';
ALTER TABLE queue_journal ADD COLUMN /*M! IF NOT EXISTS */ since_ms BIGINT NOT NULL DEFAULT 0;
)";

constexpr sql::Migration kSteps[] = {{1, kFirst, kFirstMysql}, {2, kOwners, kOwnersMysql, 1}};

}  // namespace

std::span<const sql::Migration> QueueSchema() { return kSteps; }

}  // namespace posthorn::store_service
