#pragma once

#include <memory>

#include "store-service/database/mysql/connection.h"
#include "store-service/database/sql/connection.h"

namespace posthorn::store_service::sql {

// All parts share one MySQL database; their tables' names must differ. Reads see what was committed
// on any node of a Galera cluster before they began. Connects when asked to, not here.
std::unique_ptr<Database> OpenMysql(mysql::Options options);

}  // namespace posthorn::store_service::sql
