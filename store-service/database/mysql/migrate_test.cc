#include "store-service/database/mysql/migrate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "lib/testing/mariadb.h"

namespace posthorn::mysql {
namespace {

using testing::MariadbServer;

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS t(a INT PRIMARY KEY) ENGINE=InnoDB;\n"
    "INSERT IGNORE INTO t(a) VALUES(1);\n";
constexpr char kMore[] = "ALTER TABLE t ADD COLUMN IF NOT EXISTS b INT NOT NULL DEFAULT 0;\n";
constexpr Step kSteps[] = {{1, kTable}, {2, kMore}};

class MigrateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = MariadbServer::Start().release(); }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    options_.target = *ParseTarget(server_->Url(server_->NewDatabase()));
    options_.password = MariadbServer::kPassword;
    db_ = *Connection::Open(options_);
  }

  static MariadbServer* server_;
  Options options_;
  std::unique_ptr<Connection> db_;
};

MariadbServer* MigrateTest::server_ = nullptr;

TEST_F(MigrateTest, RunsEachStepOnceInOrder) {
  ASSERT_TRUE(Migrate(*db_, "mail", std::span(kSteps, 1)).ok());
  ASSERT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  ASSERT_TRUE(db_->Run("UPDATE t SET a=2, b=1").ok());
  ASSERT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM t"), 1);
  EXPECT_EQ(*db_->Integer("SELECT max(number) FROM schema_migration WHERE part='mail'"), 2);
}

TEST_F(MigrateTest, PartsHaveTheirOwnNumbers) {
  ASSERT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  EXPECT_TRUE(Migrate(*db_, "directory", std::span(kSteps, 1)).ok());
}

TEST_F(MigrateTest, NewerSchemaAndEditedStepsAreRefused) {
  ASSERT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  EXPECT_EQ(Migrate(*db_, "mail", std::span(kSteps, 1)).code(),
            absl::StatusCode::kFailedPrecondition);
  constexpr Step kEdited[] = {{1, kTable}, {2, kTable}};
  EXPECT_EQ(Migrate(*db_, "mail", kEdited).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MigrateTest, SeveralReplicasStartAtOnce) {
  std::atomic<int> good = 0;
  std::vector<std::thread> replicas;
  for (int i = 0; i < 4; ++i) {
    replicas.emplace_back([&] {
      auto own = Connection::Open(options_);
      if (own.ok() && Migrate(**own, "mail", kSteps).ok()) ++good;
    });
  }
  for (std::thread& replica : replicas) replica.join();
  EXPECT_EQ(good, 4);
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM t"), 1);
}

}  // namespace
}  // namespace posthorn::mysql
