// In the place of store-service/blob/registry/schema.cc: the linker takes the first it finds.
#define SegmentSchema PresentSegmentSchema
#include "store-service/blob/registry/schema.cc"
#undef SegmentSchema

#include "tests/upgrade/next/next_step.h"

namespace posthorn::store_service {
namespace {

constexpr upgrade::Tables kTables = {"blob_segment", "blob_registry"};

}  // namespace

std::span<const sql::Migration> SegmentSchema() {
  static const std::string sqlite = upgrade::SqliteColumn(kTables);
  static const std::string mysql = upgrade::MysqlColumn(kTables);
  static const std::vector<sql::Migration> steps =
      upgrade::Append(PresentSegmentSchema(), sql::Migration{0, sqlite, mysql});
  return steps;
}

}  // namespace posthorn::store_service
