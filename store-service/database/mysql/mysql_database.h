#pragma once

// The mail database in MySQL or MariaDB. Any number of them may be open on one schema, also by
// other processes.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/database.h"
#include "store-service/database/mysql/connection.h"

namespace posthorn::store_service {

struct MysqlDatabaseOptions {
  mysql::Options connection;
  size_t max_readers = 8;  // connections kept open for snapshots
};

// From the flags --database, --database-password-file (its first line; empty: no password) and
// --database-ca.
absl::StatusOr<MysqlDatabaseOptions> MysqlOptionsFromFlags(std::string_view url,
                                                           const std::string& password_file,
                                                           const std::string& ca_file);

// Connects and brings the mail tables up to date. kUnavailable: no host answers; kPermissionDenied;
// kFailedPrecondition: the schema does not exist, or a newer program made tables that this one is
// too old for.
absl::StatusOr<std::unique_ptr<Database>> OpenMysqlDatabase(const MysqlDatabaseOptions& options);

}  // namespace posthorn::store_service
