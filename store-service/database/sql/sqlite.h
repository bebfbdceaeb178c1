#pragma once

#include <memory>
#include <string>

#include "store-service/database/sql/connection.h"

namespace posthorn::store_service::sql {

struct SqliteOptions {
  std::string path;
  std::string vfs;
};

// One file of one part. Connecting makes it when it is not there.
std::unique_ptr<Database> OpenSqlite(SqliteOptions options);

}  // namespace posthorn::store_service::sql
