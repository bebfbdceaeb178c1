#pragma once

// The mail database's migrations. Never change one that was released: add the next number.

#include <span>

#include "lib/sqlite/migrate.h"

namespace posthorn::store_service {

std::span<const sqlite::Migration> MailMigrations();

}  // namespace posthorn::store_service
