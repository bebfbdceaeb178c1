#pragma once

#include <string_view>

namespace posthorn::store_service::sql {

// One step of a part's schema: numbers ascend from 1, a released step is never edited. Each
// statement ends with ";" at the end of a line.
struct Migration {
  int number;
  std::string_view sqlite;
  // Each statement may run again (IF NOT EXISTS, INSERT IGNORE): MySQL has no transactions over
  // schema changes, and several replicas may be at it at once.
  std::string_view mysql;
};

}  // namespace posthorn::store_service::sql
