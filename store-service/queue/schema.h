#pragma once

#include <span>

#include "store-service/database/sql/migration.h"

namespace posthorn::store_service {

// Part "queue": the journals of queues and their records.
std::span<const sql::Migration> QueueSchema();

}  // namespace posthorn::store_service
