#include "store-service/database/mysql/mysql_database.h"

#include <gtest/gtest.h>

#include "store-service/database/conformance_upkeep.h"
#include "store-service/database/mysql/database_for_test.h"

namespace posthorn::store_service {
namespace {

using testing::MariadbServer;

// One for all tests of this program.
MariadbServer& Server() {
  static const std::unique_ptr<MariadbServer> server = MariadbServer::Start();
  return *server;
}

class MariadbFactory {
 public:
  MariadbFactory() : name_(Server().NewDatabase()) {}
  absl::StatusOr<std::unique_ptr<Database>> Open() {
    return OpenMysqlDatabase(MysqlTestOptions(Server().Url(name_)));
  }

 private:
  const std::string name_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Mariadb, DatabaseConformance, MariadbFactory);
INSTANTIATE_TYPED_TEST_SUITE_P(Mariadb, DatabaseUpkeep, MariadbFactory);

}  // namespace
}  // namespace posthorn::store_service
