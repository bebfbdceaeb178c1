#pragma once

#include <memory>

#include "store-service/database/database.h"

namespace posthorn::store_service {

// Counts what goes wrong with `database`, by call and status, whatever the engine:
// posthorn_store_database_errors_total.
std::unique_ptr<Database> MeasureDatabase(std::unique_ptr<Database> database);

}  // namespace posthorn::store_service
