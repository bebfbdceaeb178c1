// In the place of store-service/database/mysql/mail_schema.cc: the linker takes the first it finds.
#define MysqlMailSteps PresentMysqlMailSteps
#include "store-service/database/mysql/mail_schema.cc"
#undef MysqlMailSteps

#include "tests/upgrade/next/next_step.h"

namespace posthorn::store_service {

std::span<const mysql::Step> MysqlMailSteps() {
  static const std::string sql = upgrade::MysqlColumn(
      {"lane", "replica", "mailbox", "message", "keyword", "expunge", "subscription", "delivery",
       "operation", "body", "other_prefix", "suspect", "condemned", "dropped", "account_state"});
  static const std::vector<mysql::Step> steps =
      upgrade::Append(PresentMysqlMailSteps(), mysql::Step{0, sql});
  return steps;
}

}  // namespace posthorn::store_service
