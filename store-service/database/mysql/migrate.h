#pragma once

// Schema steps by part ("mail", "directory"), noted in schema_migration(part, number, checksum,
// time). Several replicas may do so at once: on one server they wait for each other by a named
// lock; on different nodes of a cluster they do the same twice, which is why every statement must
// be able to run again (IF NOT EXISTS, INSERT IGNORE).

#include <span>
#include <string_view>

#include "store-service/database/mysql/connection.h"

namespace posthorn::mysql {

struct Step {
  int number = 0;        // ascending from 1; a released step is never edited
  std::string_view sql;  // each statement ends with ";" at the end of a line
};

// kFailedPrecondition: a newer program made the tables, or an applied step was edited since.
absl::Status Migrate(Connection& connection, std::string_view part, std::span<const Step> steps);

}  // namespace posthorn::mysql
