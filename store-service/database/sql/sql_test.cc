// What every engine does in the same way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/testing/temp_dir.h"
#include "store-service/database/sql/migration.h"
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
  EXPECT_EQ(Transact(*db_,
                     [&]() -> absl::Status {
                       RETURN_IF_ERROR(db_->Run("INSERT INTO thing VALUES(1,'a',NULL)"));
                       return absl::AbortedError("not now");
                     })
                .code(),
            absl::StatusCode::kAborted);
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

INSTANTIATE_TEST_SUITE_P(Sqlite, SqlTest, ::testing::Values(Engine{"sqlite", OpenSqliteForTest}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace posthorn::store_service::sql
