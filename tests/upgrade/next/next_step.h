#pragma once

// What a next release may do to a schema while stores of this one go on: each table gets a column.

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/strings.h"

namespace posthorn::upgrade {

using Tables = std::initializer_list<std::string_view>;

inline std::string AddColumn(Tables tables, std::string_view column) {
  std::string sql;
  for (const std::string_view table : tables)
    base::StrAppend(sql, "ALTER TABLE ", table, " ADD COLUMN ", column, ";\n");
  return sql;
}
inline std::string SqliteColumn(Tables tables) {
  return AddColumn(tables, "next_release INTEGER NOT NULL DEFAULT 7");
}
// May run again, as each statement on MySQL.
inline std::string MysqlColumn(Tables tables) {
  return AddColumn(tables, "IF NOT EXISTS next_release INT NOT NULL DEFAULT 7");
}

template <class Step>
std::vector<Step> Append(std::span<const Step> present, Step next) {
  std::vector<Step> steps(present.begin(), present.end());
  next.oldest = present.back().number;
  next.number = next.oldest + 1;
  steps.push_back(next);
  return steps;
}

}  // namespace posthorn::upgrade
