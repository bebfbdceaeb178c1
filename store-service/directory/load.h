#pragma once

#include <vector>

#include "store-service/database/sql/connection.h"
#include "store-service/directory/records.h"

namespace posthorn::store_service {

// All of directory.db's domains, accounts and aliases, with accounts that are being deleted.
// Blocks; 100,000 accounts take about half a second.
absl::StatusOr<DirectoryDelta> LoadDirectory(sql::Connection& db);

}  // namespace posthorn::store_service
