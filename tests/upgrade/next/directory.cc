// In the place of store-service/directory/schema.cc: the linker takes the first it finds.
#define DirectorySchema PresentDirectorySchema
#include "store-service/directory/schema.cc"
#undef DirectorySchema

#include "tests/upgrade/next/next_step.h"

namespace posthorn::store_service {
namespace {

constexpr upgrade::Tables kTables = {
    "head",        "counter", "object",  "credential", "revision", "revision_change", "domain",
    "domain_name", "address", "account", "alias",      "deleting", "journal",         "key_check"};

}  // namespace

std::span<const sql::Migration> DirectorySchema() {
  static const std::string sqlite = upgrade::SqliteColumn(kTables);
  static const std::string mysql = upgrade::MysqlColumn(kTables);
  static const std::vector<sql::Migration> steps =
      upgrade::Append(PresentDirectorySchema(), sql::Migration{0, sqlite, mysql});
  return steps;
}

}  // namespace posthorn::store_service
