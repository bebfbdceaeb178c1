#pragma once

#include <span>

#include "store-service/database/sql/migration.h"

namespace posthorn::store_service {

// The tables of the registry of segments. Never change a step that was released.
std::span<const sql::Migration> SegmentSchema();

}  // namespace posthorn::store_service
