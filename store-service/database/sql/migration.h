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
  // The last step of the oldest program that still works after this one; 0: none that does not
  // know it. Steps that only add what has a default say here the last step of the release before.
  int oldest = 0;
};

}  // namespace posthorn::store_service::sql
