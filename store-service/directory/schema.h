#pragma once

#include <span>

#include "lib/sqlite/migrate.h"

namespace posthorn::store_service {

// directory.db: configuration objects, revisions, credentials, the directory's own tables, the
// registry of journals.
std::span<const sqlite::Migration> DirectorySchema();

}  // namespace posthorn::store_service
