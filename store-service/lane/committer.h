#pragma once

// Brings one batch into the database, on the committer's thread: asks what became of it when the
// answer to COMMIT was lost, and has some patience with a database that fails over.

#include <chrono>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "store-service/database/database.h"
#include "store-service/lane/batch.h"

namespace posthorn::store_service {

class Committer {
 public:
  // A database that is away is tried for so long, counted from when it was first found away.
  // `before` runs before each batch (tests).
  Committer(Database& database, std::chrono::milliseconds patience, std::function<void()> before)
      : database_(&database), patience_(patience), before_(std::move(before)) {}

  // Blocks; notes in the batch how long it took. kUnavailable: it did not happen, the database is
  // away; kUnknown: still not known; otherwise as Database::Commit.
  absl::Status Commit(Batch& batch);

 private:
  absl::Status CommitPatiently(const Batch& batch);

  Database* database_;
  const std::chrono::milliseconds patience_;
  std::function<void()> before_;
  // When it was first found away; nothing while it answers. Whoever comes later does not wait anew.
  std::optional<std::chrono::steady_clock::time_point> away_since_;
};

}  // namespace posthorn::store_service
