#pragma once

// Schema steps by part ("mail", "directory"), noted in schema_migration(part, number, checksum,
// time). Several replicas may do so at once: on one server they wait for each other by a named
// lock; on different nodes of a cluster they do the same twice, which is why every statement must
// be able to run again (IF NOT EXISTS, INSERT IGNORE). So must it after a kill: there are no
// transactions over schema changes, and the step that was under way begins anew.

#include <span>
#include <string_view>

#include "store-service/database/mysql/connection.h"

namespace posthorn::mysql {

struct Step {
  int number = 0;        // ascending from 1; a released step is never edited
  std::string_view sql;  // each statement ends with ";" at the end of a line
  // Programs whose last step is this one or a later one still work after it: stores of the release
  // before may be started beside new ones. 0: none that does not know the step. Kept in
  // schema_oldest(part, number, oldest) from before the step begins.
  int oldest = 0;
};

// Tables of a newer program are used, with a warning in the log, when all their further steps allow
// it; a step without a row in schema_oldest allows nobody. kFailedPrecondition: they do not; or an
// applied step was edited since.
absl::Status Migrate(Connection& connection, std::string_view part, std::span<const Step> steps);
// The same over a connection of its own, whose statements may take as long as copying a table does.
absl::Status Migrate(Options options, std::string_view part, std::span<const Step> steps);

}  // namespace posthorn::mysql
