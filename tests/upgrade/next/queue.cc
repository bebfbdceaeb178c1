// In the place of store-service/queue/schema.cc: the linker takes the first it finds.
#define QueueSchema PresentQueueSchema
#include "store-service/queue/schema.cc"
#undef QueueSchema

#include "tests/upgrade/next/next_step.h"

namespace posthorn::store_service {
namespace {

constexpr upgrade::Tables kTables = {"queue_journal", "queue_entry"};

}  // namespace

std::span<const sql::Migration> QueueSchema() {
  static const std::string sqlite = upgrade::SqliteColumn(kTables);
  static const std::string mysql = upgrade::MysqlColumn(kTables);
  static const std::vector<sql::Migration> steps =
      upgrade::Append(PresentQueueSchema(), sql::Migration{0, sqlite, mysql});
  return steps;
}

}  // namespace posthorn::store_service
