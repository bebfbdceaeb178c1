#pragma once

#include <memory>
#include <string>

#include "store-service/database/sql/connection.h"
#include "store-service/database/sql/write_gate.h"

namespace posthorn::store_service::sql {

struct SqliteOptions {
  std::string path;
  std::string vfs;
  // Not null: what writes passes through it.
  std::shared_ptr<WriteGate> gate = nullptr;
};

// One file of one part. Connecting makes it when it is not there.
std::unique_ptr<Database> OpenSqlite(SqliteOptions options);

}  // namespace posthorn::store_service::sql
