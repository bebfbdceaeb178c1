#include "store-service/blob/registry/schema.h"

namespace posthorn::store_service {
namespace {

constexpr char kFirst[] = R"(
CREATE TABLE blob_segment (number INTEGER PRIMARY KEY, writer TEXT NOT NULL, state INTEGER NOT NULL,
  generation INTEGER NOT NULL, reserved INTEGER NOT NULL, sealed INTEGER NOT NULL,
  doubtful INTEGER NOT NULL, changed INTEGER NOT NULL, version INTEGER NOT NULL);
CREATE TABLE blob_registry (id INTEGER PRIMARY KEY, next INTEGER NOT NULL, identity TEXT NOT NULL,
  guard INTEGER NOT NULL);
INSERT INTO blob_registry (id, next, identity, guard) VALUES (1, 1, '', 0);
)";

constexpr char kFirstMysql[] = R"(
CREATE TABLE IF NOT EXISTS blob_segment (number BIGINT NOT NULL PRIMARY KEY,
  writer VARBINARY(255) NOT NULL, state INT NOT NULL, generation BIGINT NOT NULL,
  reserved BIGINT NOT NULL, sealed BIGINT NOT NULL, doubtful BIGINT NOT NULL,
  changed BIGINT NOT NULL, version BIGINT NOT NULL) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS blob_registry (id INT NOT NULL PRIMARY KEY, next BIGINT NOT NULL,
  identity VARBINARY(255) NOT NULL, guard BIGINT NOT NULL) ENGINE=InnoDB;
INSERT IGNORE INTO blob_registry (id, next, identity, guard) VALUES (1, 1, '', 0);
)";

constexpr sql::Migration kSteps[] = {{1, kFirst, kFirstMysql}};

}  // namespace

std::span<const sql::Migration> SegmentSchema() { return kSteps; }

}  // namespace posthorn::store_service
