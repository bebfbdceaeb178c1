#include "store-service/database/mysql/migrate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "lib/base/strings.h"
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

constexpr char kDrop[] = "ALTER TABLE t DROP COLUMN IF EXISTS b;\n";

TEST_F(MigrateTest, NewerSchemaIsUsedWhenItsStepsAllowIt) {
  constexpr Step kAll[] = {{1, kTable}, {2, kMore, 1}, {3, kDrop, 2}};
  ASSERT_TRUE(Migrate(*db_, "mail", std::span(kAll, 2)).ok());
  EXPECT_TRUE(Migrate(*db_, "mail", std::span(kAll, 1)).ok());
  ASSERT_TRUE(Migrate(*db_, "mail", kAll).ok());
  EXPECT_TRUE(Migrate(*db_, "mail", std::span(kAll, 2)).ok());
  const absl::Status refused = Migrate(*db_, "mail", std::span(kAll, 1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::Message(refused),
            "schema mail 3 is of a newer program; this one knows 1, and at least 2 must be known to"
            " work with it: start the newer release");
}

TEST_F(MigrateTest, StepsOfBeforeOldestWasKeptAllowNobody) {
  ASSERT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  ASSERT_TRUE(db_->Execute("DROP TABLE schema_oldest").ok());
  EXPECT_TRUE(Migrate(*db_, "mail", kSteps).ok());
  EXPECT_EQ(Migrate(*db_, "mail", std::span(kSteps, 1)).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(MigrateTest, FailedStepKeepsOldProgramsOutAndGoesOnLater) {
  // MySQL commits each of these by itself: the first statement stays.
  static constexpr char kTwo[] =
      "ALTER TABLE t ADD COLUMN IF NOT EXISTS c INT NOT NULL DEFAULT 0;\n"
      "INSERT IGNORE INTO later(a) VALUES(1);\n";
  constexpr Step kAll[] = {{1, kTable}, {2, kTwo}};
  ASSERT_TRUE(Migrate(*db_, "mail", std::span(kAll, 1)).ok());
  EXPECT_FALSE(Migrate(*db_, "mail", kAll).ok());
  EXPECT_TRUE(db_->Integer("SELECT c FROM t").ok());
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM schema_migration WHERE number=2"), 0);
  EXPECT_EQ(Migrate(*db_, "mail", std::span(kAll, 1)).code(), absl::StatusCode::kFailedPrecondition)
      << "half of a step that an older program cannot live with";
  ASSERT_TRUE(db_->Execute("CREATE TABLE later(a INT PRIMARY KEY) ENGINE=InnoDB").ok());
  EXPECT_TRUE(Migrate(*db_, "mail", kAll).ok());
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM later"), 1);
}

// A step that takes time: the test holds a row that it must wait for.
class SlowStep {
 public:
  explicit SlowStep(const Options& options) : holder_(*Connection::Open(options)) {
    EXPECT_TRUE(holder_->Execute("CREATE TABLE held(a INT PRIMARY KEY) ENGINE=InnoDB").ok());
    EXPECT_TRUE(holder_->Execute("LOCK TABLES held WRITE").ok());
  }
  void LetGo() { EXPECT_TRUE(holder_->Execute("UNLOCK TABLES").ok()); }

 private:
  std::unique_ptr<Connection> holder_;
};
constexpr Step kSlow[] = {{1,
                           "CREATE TABLE IF NOT EXISTS before_it(a INT) ENGINE=InnoDB;\n"
                           "ALTER TABLE held ADD COLUMN IF NOT EXISTS b INT;\n"
                           "CREATE TABLE after_it(a INT) ENGINE=InnoDB;\n"}};

TEST_F(MigrateTest, KilledStepGoesOnAtTheNextStart) {
  SlowStep slow(options_);
  std::thread killed([&] { EXPECT_FALSE(Migrate(options_, "mail", kSlow).ok()); });
  const std::string at_it =
      "SELECT id FROM information_schema.processlist WHERE db=DATABASE() AND"
      " info LIKE 'ALTER TABLE held%' LIMIT 1";
  absl::StatusOr<int64_t> session = db_->Integer(at_it);
  while (!session.ok()) session = db_->Integer(at_it);
  // Each retry of the driver's would wait again: the account is what a killed process loses too.
  ASSERT_TRUE(db_->Execute(base::StrCat("KILL ", *session)).ok());
  killed.join();
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM schema_migration"), 0);
  slow.LetGo();
  EXPECT_TRUE(Migrate(*db_, "mail", kSlow).ok());
  EXPECT_EQ(*db_->Integer("SELECT count(*) FROM schema_migration"), 1);
}

TEST_F(MigrateTest, SecondStoreWaitsUntilTheFirstIsDone) {
  SlowStep slow(options_);
  std::vector<std::thread> stores;
  // The last statement cannot run twice: whoever did not wait would fail.
  for (int i = 0; i < 2; ++i)
    stores.emplace_back([&] { EXPECT_TRUE(Migrate(options_, "mail", kSlow).ok()); });
  const auto waiting = [&](std::string_view text) {
    return *db_->Integer(base::StrCat(
        "SELECT count(*) FROM information_schema.processlist WHERE db=DATABASE() AND info LIKE '",
        text, "%'"));
  };
  while (waiting("ALTER TABLE held") != 1 || waiting("SELECT coalesce(GET_LOCK") != 1) continue;
  slow.LetGo();
  for (std::thread& store : stores) store.join();
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
