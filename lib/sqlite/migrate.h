#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "lib/sqlite/connection.h"

namespace posthorn::sqlite {

// One step of a schema: numbers ascend from 1, a released step is never edited.
struct Migration {
  int number;
  std::string_view sql;
  // Programs whose last step is this one or a later one still work after it, so that a release can
  // be taken back. 0: none that does not know the step.
  int oldest = 0;
};

// Brings a database to the last of `migrations`, each in a transaction of its own, and remembers
// number and checksum in table `migration` and `oldest` in `migration_oldest`. A file of a newer
// program is opened, with a warning in the log, when all its further steps allow it; a file of
// before `oldest` was kept has steps that allow nobody. kFailedPrecondition: they do not, and
// nothing was changed; or an applied step was edited.
absl::Status Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace posthorn::sqlite
