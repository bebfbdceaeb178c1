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
};

// Brings a database to the last of `migrations`, each in a transaction of its own, and remembers
// number and checksum in table `migration`. kFailedPrecondition: the file was made by a newer
// program, or an applied step was edited.
absl::Status Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace posthorn::sqlite
