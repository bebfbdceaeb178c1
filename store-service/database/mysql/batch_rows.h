#pragma once

#include "absl/status/status.h"
#include "store-service/database/mysql/connection.h"
#include "store-service/database/write_batch.h"

namespace posthorn::store_service {

// The rows of `batch` in the order write_batch.h demands, within the caller's transaction.
absl::Status WriteRows(mysql::Connection& connection, const WriteBatch& batch);

}  // namespace posthorn::store_service
