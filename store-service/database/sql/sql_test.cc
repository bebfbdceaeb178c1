// What every engine does in the same way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/sql/migration.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/placeholders.h"
#include "store-service/database/sql/sqlite.h"

namespace posthorn::store_service::sql {
namespace {

using ::testing::ElementsAre;

constexpr Migration kSteps[] = {
    {1,
     "CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB);\n"
     "CREATE TABLE head(one INTEGER PRIMARY KEY, revision INTEGER NOT NULL);\n"
     "INSERT INTO head VALUES(1,0);\n",
     "CREATE TABLE IF NOT EXISTS thing(id BIGINT PRIMARY KEY, name VARBINARY(500) NOT NULL UNIQUE, "
     "data LONGBLOB) ENGINE=InnoDB;\n"
     "CREATE TABLE IF NOT EXISTS head(one BIGINT PRIMARY KEY, revision BIGINT NOT NULL) "
     "ENGINE=InnoDB;\n"
     "INSERT IGNORE INTO head VALUES(1,0);\n"}};

struct Engine {
  std::string name;
  std::function<std::unique_ptr<Database>(const std::string& directory)> open;
};

class SqlTest : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    database_ = GetParam().open(directory_.path());
    auto connected = database_->Connect();
    ASSERT_TRUE(connected.ok()) << connected.status();
    db_ = *std::move(connected);
    const absl::Status migrated = db_->Migrate("test", kSteps);
    ASSERT_TRUE(migrated.ok()) << migrated;
  }
  std::vector<std::string> Names(std::string_view sql) {
    std::vector<std::string> names;
    Cursor row = db_->Query(sql);
    while (row.Next().value()) names.emplace_back(row.Text(0));
    return names;
  }
  posthorn::testing::TempDir directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Connection> db_;
};

TEST_P(SqlTest, ValuesComeBackAsTheyWere) {
  const std::string bytes("\0\xff'\"\\\n", 6);
  ASSERT_TRUE(
      db_->Run("INSERT INTO thing VALUES(?1,?2,?3)", UINT64_MAX, "käse ☃ 😀", Bytes(bytes)).ok());
  ASSERT_TRUE(db_->Run("INSERT INTO thing VALUES(?1,?2,?3)", 2, "", nullptr).ok());
  Cursor row = db_->Query("SELECT id,name,data FROM thing ORDER BY id");
  ASSERT_TRUE(row.Next().value());
  EXPECT_EQ(row.Unsigned(0), UINT64_MAX);
  EXPECT_EQ(row.Text(1), "käse ☃ 😀");
  EXPECT_EQ(row.Text(2), bytes);
  EXPECT_FALSE(row.IsNull(2));
  ASSERT_TRUE(row.Next().value());
  EXPECT_EQ(row.Text(1), "");
  EXPECT_FALSE(row.IsNull(1));
  EXPECT_TRUE(row.IsNull(2));
  EXPECT_EQ(row.Text(2), "");
  EXPECT_FALSE(row.Next().value());
}

TEST_P(SqlTest, TheClockIsTheDatabasesAndInMilliseconds) {
  const auto before = base::WallMillis();
  const auto now = db_->Integer(base::StrCat("SELECT ", db_->clock_ms()));
  ASSERT_TRUE(now.ok()) << now.status();
  EXPECT_GE(*now, before - 5);
  EXPECT_LE(*now, base::WallMillis() + 5);
}

TEST_P(SqlTest, NumbersOfArgumentsMayRepeatAndMix) {
  ASSERT_TRUE(db_->Run("INSERT INTO thing VALUES(?1,?2,?2)", 1, "a?1'b").ok());
  EXPECT_EQ(db_->Integer("SELECT count(*) FROM thing WHERE name=?2 AND data=?2 AND id=?1 AND "
                         "name<>'?3'",
                         1, "a?1'b")
                .value(),
            1);
  EXPECT_THAT(Names("SELECT name||'@'||id FROM thing"), ElementsAre("a?1'b@1"));
}

TEST_P(SqlTest, NamesAreComparedAsBytes) {
  int id = 0;
  for (const char* name : {"a", "A", "ä", "a ", "b", "B"})
    ASSERT_TRUE(db_->Run("INSERT INTO thing VALUES(?1,?2,NULL)", ++id, name).ok()) << name;
  EXPECT_THAT(Names("SELECT name FROM thing ORDER BY name"),
              ElementsAre("A", "B", "a", "a ", "b", "ä"));
  EXPECT_EQ(db_->Integer("SELECT id FROM thing WHERE name=?1", "a ").value(), 4);
}

TEST_P(SqlTest, TakenKeysAreTold) {
  ASSERT_TRUE(db_->Run("INSERT INTO thing VALUES(1,?1,NULL)", "a").ok());
  EXPECT_EQ(db_->Run("INSERT INTO thing VALUES(2,?1,NULL)", "a").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(db_->Run("INSERT INTO thing VALUES(1,?1,NULL)", "b").code(),
            absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(db_->Run("REPLACE INTO thing VALUES(1,?1,NULL)", "c").ok());
  EXPECT_THAT(Names("SELECT name FROM thing"), ElementsAre("c"));
  EXPECT_EQ(db_->Integer("SELECT id FROM thing WHERE name='a'").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(db_->Run("SELECT nonsense FROM nowhere").code(), absl::StatusCode::kInternal);
}

TEST_P(SqlTest, WhatIsNotCommittedIsUndone) {
  {
    auto transaction = Transaction::Begin(*db_);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db_->Run("INSERT INTO thing VALUES(1,'a',NULL)").ok());
  }
  EXPECT_TRUE(Names("SELECT name FROM thing").empty());
  const auto fails = [&]() -> absl::Status {
    RETURN_IF_ERROR(db_->Run("INSERT INTO thing VALUES(1,'a',NULL)"));
    return absl::AbortedError("not now");
  };
  EXPECT_EQ(Transact(*db_, fails).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Names("SELECT name FROM thing").empty());
  ASSERT_TRUE(
      Transact(*db_, [&] { return db_->Run("INSERT INTO thing VALUES(1,'a',NULL)"); }).ok());
  EXPECT_EQ(Names("SELECT name FROM thing").size(), 1U);
}

TEST_P(SqlTest, GuardedUpdatesSayWhetherTheyHit) {
  ASSERT_TRUE(db_->Run("UPDATE head SET revision=revision+1 WHERE revision=?1", 0).ok());
  EXPECT_EQ(db_->changes(), 1);
  ASSERT_TRUE(db_->Run("UPDATE head SET revision=revision+1 WHERE revision=?1", 0).ok());
  EXPECT_EQ(db_->changes(), 0);
}

TEST_P(SqlTest, ReadTransactionsSeeOneMoment) {
  auto other = database_->Connect();
  ASSERT_TRUE(other.ok()) << other.status();
  auto snapshot = Transaction::Begin(*db_, Transaction::kRead);
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ(db_->Integer("SELECT revision FROM head").value(), 0);
  ASSERT_TRUE((*other)->Run("UPDATE head SET revision=7").ok());
  EXPECT_EQ(db_->Integer("SELECT revision FROM head").value(), 0);
}

TEST_P(SqlTest, SchemaIsMadeOnceAndNewerOnesAreRefused) {
  ASSERT_TRUE(db_->Run("UPDATE head SET revision=3").ok());
  auto other = database_->Connect();
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE((*other)->Migrate("test", kSteps).ok());
  EXPECT_EQ((*other)->Integer("SELECT revision FROM head").value(), 3);
  EXPECT_EQ((*other)->Migrate("test", {}).code(), absl::StatusCode::kFailedPrecondition);
}

std::unique_ptr<Database> OpenSqliteForTest(const std::string& directory) {
  return OpenSqlite({.path = directory + "/test.db"});
}

// One server for all tests of this program.
posthorn::testing::MariadbServer& Server() {
  static const std::unique_ptr<posthorn::testing::MariadbServer> kServer =
      posthorn::testing::MariadbServer::Start();
  return *kServer;
}

mysql::Options OptionsFor(const std::string& database) {
  mysql::Options options;
  options.target = mysql::ParseTarget(Server().Url(database)).value();
  options.password = posthorn::testing::MariadbServer::kPassword;
  return options;
}

std::unique_ptr<Database> OpenMysqlForTest(const std::string&) {
  return OpenMysql(OptionsFor(Server().NewDatabase()));
}

INSTANTIATE_TEST_SUITE_P(Engines, SqlTest,
                         ::testing::Values(Engine{"sqlite", OpenSqliteForTest},
                                           Engine{"mysql", OpenMysqlForTest}),
                         [](const auto& info) { return info.param.name; });

TEST(Placeholders, AreNumberedOutsideOfQuotes) {
  const Placeholders text = Translate("a=?2 AND b='?1' AND `c?1`=?12 AND d=?1 AND e=?2");
  EXPECT_EQ(text.sql, "a=? AND b='?1' AND `c?1`=? AND d=? AND e=?");
  EXPECT_THAT(text.order, ElementsAre(1, 11, 0, 1));
  EXPECT_EQ(Translate("SELECT 1").sql, "SELECT 1");
}

// Both write to the same rows in opposite orders: one is made to try again, none fails.
TEST(MysqlTransactions, ThatLoseAgainstOthersRunAgain) {
  const std::unique_ptr<Database> database = OpenMysql(OptionsFor(Server().NewDatabase()));
  auto first = database->Connect().value();
  ASSERT_TRUE(first->Migrate("test", kSteps).ok());
  ASSERT_TRUE(first->Run("INSERT INTO head VALUES(2,0)").ok());
  constexpr int kRounds = 50;
  const auto work = [&](int from, int to) {
    const auto db = database->Connect().value();
    for (int i = 0; i < kRounds; ++i) {
      const absl::Status done = Transact(*db, [&]() -> absl::Status {
        RETURN_IF_ERROR(db->Run("UPDATE head SET revision=revision+1 WHERE one=?1", from));
        return db->Run("UPDATE head SET revision=revision+1 WHERE one=?1", to);
      });
      EXPECT_TRUE(done.ok()) << done;
    }
  };
  std::thread other(work, 2, 1);
  work(1, 2);
  other.join();
  EXPECT_EQ(first->Integer("SELECT sum(revision) FROM head").value(), 4 * kRounds);
}

TEST(MysqlConnections, ComeBackAfterTheServerWasAway) {
  const std::unique_ptr<posthorn::testing::MariadbServer> server =
      posthorn::testing::MariadbServer::Start();
  ASSERT_NE(server, nullptr);
  mysql::Options options;
  options.target = mysql::ParseTarget(server->Url(server->NewDatabase())).value();
  options.password = posthorn::testing::MariadbServer::kPassword;
  const auto db = OpenMysql(options)->Connect().value();
  ASSERT_TRUE(db->Migrate("test", kSteps).ok());
  server->Kill();
  EXPECT_EQ(db->Integer("SELECT revision FROM head").status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(Transact(*db, [] { return absl::OkStatus(); }).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(server->Restart());
  EXPECT_EQ(db->Integer("SELECT revision FROM head").value(), 0);
  EXPECT_TRUE(Transact(*db, [&] { return db->Run("UPDATE head SET revision=9"); }).ok());
}

}  // namespace
}  // namespace posthorn::store_service::sql
