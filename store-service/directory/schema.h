#pragma once

#include <span>

#include "store-service/database/sql/migration.h"

namespace posthorn::store_service {

// directory.db: configuration objects, revisions, credentials, the directory's own tables, the
// registry of journals.
std::span<const sql::Migration> DirectorySchema();

}  // namespace posthorn::store_service
