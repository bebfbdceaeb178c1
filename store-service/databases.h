#pragma once

// Which databases a store works on: files under --data, or one MySQL database for everything.

#include <memory>

#include "lib/process/service.h"
#include "store-service/database/database.h"
#include "store-service/database/sql/connection.h"
#include "store-service/database/sql/write_gate.h"
#include "store-service/move/tracked_database.h"

namespace posthorn::store_service {

// --database, --database-password-file, --database-ca, --key-file.
std::vector<std::string> DatabaseFlags();
// The value of a flag of the store's own, without its dashes; empty: not given.
std::string OwnFlag(const process::Flags& flags, std::string_view name);

struct Databases {
  std::unique_ptr<Database> mail;
  // What is not mail, shared with other replicas. Null: each part keeps a file of its own.
  std::shared_ptr<sql::Database> shared;
  // Files only: `mail` itself, and what the writers of all other files pass. Otherwise null.
  TrackedDatabase* tracked = nullptr;
  std::shared_ptr<sql::WriteGate> gate;
};
// Connects and brings the mail's tables up to date. Blocks. kUnavailable: no server answers yet;
// kFailedPrecondition: the files have moved to a database, or that one holds only a part.
absl::StatusOr<Databases> OpenDatabases(const process::Flags& flags);

}  // namespace posthorn::store_service
