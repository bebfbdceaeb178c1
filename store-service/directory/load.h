#pragma once

#include <vector>

#include "lib/sqlite/connection.h"
#include "store-service/directory/records.h"

namespace posthorn::store_service {

// All of directory.db's domains, accounts and aliases, with accounts that are being deleted.
// Blocks; 100,000 accounts take about half a second.
absl::StatusOr<DirectoryDelta> LoadDirectory(sqlite::Connection& db);

}  // namespace posthorn::store_service
