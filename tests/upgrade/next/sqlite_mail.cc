// In the place of store-service/database/sqlite/mail_schema.cc: the linker takes the first it
// finds.
#define MailMigrations PresentMailMigrations
#include "store-service/database/sqlite/mail_schema.cc"
#undef MailMigrations

#include "tests/upgrade/next/next_step.h"

namespace posthorn::store_service {

std::span<const sqlite::Migration> MailMigrations() {
  static const std::string sql = upgrade::SqliteColumn(
      {"lane", "replica", "mailbox", "message", "keyword", "expunge", "subscription", "delivery",
       "operation", "body", "other_prefix", "suspect", "condemned", "dropped", "account"});
  static const std::vector<sqlite::Migration> steps =
      upgrade::Append(PresentMailMigrations(), sqlite::Migration{0, sql});
  return steps;
}

}  // namespace posthorn::store_service
