#include "store-service/database/mysql/mysql_database.h"

#include <gtest/gtest.h>

#include <fstream>

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

TEST(MysqlWarnings, NameHostsThatAreAwayAndSettingsThatLoseMail) {
  MysqlDatabaseOptions options = MysqlTestOptions(Server().Url(Server().NewDatabase()));
  EXPECT_EQ((*OpenMysqlDatabase(options))->Warnings(), std::vector<std::string>());
  options.connection.target.hosts.push_back({"127.0.0.1", 1});
  const auto warnings = (*OpenMysqlDatabase(options))->Warnings();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings.front().find("127.0.0.1:1"), std::string::npos);
}

TEST(MysqlOptionsFromFlags, TakesThePasswordFromTheFilesFirstLine) {
  const testing::TempDir directory;
  std::ofstream(directory.File("password")) << "s3cret \nmore\n";
  const auto options =
      MysqlOptionsFromFlags("mysql://mail@db/posthorn", directory.File("password"), "/ca.pem");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->connection.password, "s3cret");
  EXPECT_EQ(options->connection.ca_file, "/ca.pem");
  EXPECT_EQ(
      MysqlOptionsFromFlags("mysql://mail@db/posthorn", directory.File("none"), "").status().code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace posthorn::store_service
