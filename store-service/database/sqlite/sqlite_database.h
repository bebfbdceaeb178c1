#pragma once

// The mail database in one SQLite file. Two of them may be open on one file (tests do): writers
// take turns.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

struct SqliteDatabaseOptions {
  std::string path;
  std::string vfs;  // name of a registered VFS; empty: SQLite's own
  int cache_kib = 65536;
  // The log is copied back by another thread above this many frames of 4 KiB.
  int checkpoint_frames = 1000;
  int max_readers = 8;  // connections kept open for snapshots
};

// Opens or makes the file and migrates it. kUnavailable, kDataLoss, kFailedPrecondition (file is
// newer).
absl::StatusOr<std::unique_ptr<Database>> OpenSqliteDatabase(const SqliteDatabaseOptions& options);

}  // namespace posthorn::store_service
