#pragma once

#include <string_view>

#include "store-service/database/sql/connection.h"

namespace posthorn::store_service {

// Remembers `digest` (derived from the key) with the first store that opens this database; from
// then on others are refused: replicas with different keys could not read each other's secrets nor
// check each other's tickets. kFailedPrecondition: it is another one.
absl::Status CheckKey(sql::Connection& db, std::string_view digest);
// True when the database has a key already.
absl::StatusOr<bool> HasKey(sql::Connection& db);

}  // namespace posthorn::store_service
