#pragma once

#include "absl/status/status.h"
#include "store-service/database/mysql/script.h"
#include "store-service/database/write_batch.h"

namespace posthorn::store_service {

// The rows of `batch` in the order write_batch.h demands, after what is in `script`, which has run
// then; within the caller's transaction on `connection`.
absl::Status WriteRows(mysql::Connection& connection, mysql::Script& script,
                       const WriteBatch& batch);

}  // namespace posthorn::store_service
