#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>

#include "lib/base/strings.h"
#include "lib/sqlite/connection.h"
#include "lib/sqlite/migrate.h"

namespace posthorn::sqlite {
namespace {

class Sqlite : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "sqlite_test.XXXXXX").string();
    directory_ = mkdtemp(name.data());
    db_ = Open();
    ASSERT_TRUE(db_->Script("CREATE TABLE t(k INTEGER PRIMARY KEY, v)").ok());
  }
  void TearDown() override {
    db_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<Connection> Open(int busy_timeout_ms = 0) {
    auto opened =
        Connection::Open({.path = directory_ + "/test.db", .busy_timeout_ms = busy_timeout_ms});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  int64_t Count() { return db_->Integer("SELECT count(*) FROM t").value(); }

  std::string directory_;
  std::unique_ptr<Connection> db_;
};

TEST_F(Sqlite, ValuesComeBackAsTheyWentIn) {
  const std::string binary("a\0b\xff", 4);
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(?1,?2)", 1, Bytes(binary)).ok());
  ASSERT_TRUE(
      db_->Run("INSERT INTO t VALUES(?1,?2)", 2, std::numeric_limits<uint64_t>::max()).ok());
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(?1,?2)", 3, std::string_view()).ok());
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(?1,?2)", 4, std::optional<int>()).ok());
  Cursor rows = db_->Query("SELECT v FROM t ORDER BY k");
  ASSERT_TRUE(rows.Next().value());
  EXPECT_EQ(rows.Text(0), binary);
  ASSERT_TRUE(rows.Next().value());
  EXPECT_EQ(rows.Unsigned(0), std::numeric_limits<uint64_t>::max());
  ASSERT_TRUE(rows.Next().value());
  EXPECT_FALSE(rows.IsNull(0));
  ASSERT_TRUE(rows.Next().value());
  EXPECT_TRUE(rows.IsNull(0));
  EXPECT_FALSE(rows.Next().value());
}

TEST_F(Sqlite, TransactionWithoutCommitLeavesNothing) {
  {
    auto transaction = Transaction::Begin(*db_);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(1,1)").ok());
  }
  EXPECT_EQ(Count(), 0);
  auto transaction = Transaction::Begin(*db_);
  ASSERT_TRUE(transaction.ok());
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(1,1)").ok());
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(Count(), 1);
}

TEST_F(Sqlite, UniqueKeyIsAlreadyExists) {
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(1,1)").ok());
  EXPECT_EQ(db_->Run("INSERT INTO t VALUES(1,1)").code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(Sqlite, SecondWriterIsUnavailable) {
  auto held = Transaction::Begin(*db_);
  ASSERT_TRUE(held.ok());
  auto other = Open();
  EXPECT_EQ(Transaction::Begin(*other).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(Sqlite, FullDatabaseIsResourceExhausted) {
  ASSERT_TRUE(db_->Script("PRAGMA max_page_count=4").ok());
  const std::string big(100000, 'x');
  EXPECT_EQ(db_->Run("INSERT INTO t VALUES(1,?1)", big).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(Sqlite, CursorsOfOneTextNest) {
  ASSERT_TRUE(db_->Script("INSERT INTO t VALUES(1,1),(2,2)").ok());
  int pairs = 0;
  Cursor outer = db_->Query("SELECT k FROM t");
  while (outer.Next().value()) {
    Cursor inner = db_->Query("SELECT k FROM t");
    while (inner.Next().value()) ++pairs;
  }
  EXPECT_EQ(pairs, 4);
}

TEST_F(Sqlite, WrongSqlIsAnErrorNotACrash) {
  EXPECT_EQ(db_->Run("SELEKT 1").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(db_->Integer("SELECT v FROM t").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Sqlite, OtherFilesAreDataLoss) {
  const std::string path = directory_ + "/no.db";
  FILE* file = fopen(path.c_str(), "w");
  fputs(std::string(4096, 'x').c_str(), file);
  fclose(file);
  EXPECT_EQ(Connection::Open({.path = path}).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Sqlite, MigrationsRunOnceInOrder) {
  const Migration first[] = {{1, "CREATE TABLE a(x)"}};
  const Migration both[] = {{1, "CREATE TABLE a(x)"}, {2, "INSERT INTO a VALUES(7)"}};
  ASSERT_TRUE(Migrate(*db_, first).ok());
  ASSERT_TRUE(Migrate(*db_, both).ok());
  ASSERT_TRUE(Migrate(*db_, both).ok());
  EXPECT_EQ(db_->Integer("SELECT count(*) FROM a").value(), 1);
  EXPECT_EQ(Migrate(*db_, first).code(), absl::StatusCode::kFailedPrecondition);
  const Migration edited[] = {{1, "CREATE TABLE a(y)"}, {2, "INSERT INTO a VALUES(7)"}};
  EXPECT_EQ(Migrate(*db_, edited).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Sqlite, NewerFileIsOpenedWhenItsStepsAllowIt) {
  const Migration steps[] = {{1, "CREATE TABLE a(x)"},
                             {2, "ALTER TABLE a ADD COLUMN y DEFAULT 0", 1},
                             {3, "ALTER TABLE a ADD COLUMN z DEFAULT 0", 2},
                             {4, "ALTER TABLE a DROP COLUMN x", 3}};
  ASSERT_TRUE(Migrate(*db_, std::span(steps, 2)).ok());
  EXPECT_TRUE(Migrate(*db_, std::span(steps, 1)).ok());
  ASSERT_TRUE(Migrate(*db_, std::span(steps, 3)).ok());
  EXPECT_TRUE(Migrate(*db_, std::span(steps, 2)).ok());
  EXPECT_FALSE(Migrate(*db_, std::span(steps, 1)).ok()) << "step 3 needs 2";
  ASSERT_TRUE(Migrate(*db_, steps).ok());
  EXPECT_TRUE(Migrate(*db_, std::span(steps, 3)).ok());
  const absl::Status refused = Migrate(*db_, std::span(steps, 2));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::Message(refused),
            "schema 4 is of a newer program; this one knows 2, and at least 3 must be known to work"
            " with it: start the newer release again");
}

TEST_F(Sqlite, FileOfBeforeOldestWasKeptGetsItsNextStep) {
  const Migration steps[] = {{1, "CREATE TABLE a(x)"},
                             {2, "ALTER TABLE a ADD COLUMN y DEFAULT 0", 1}};
  ASSERT_TRUE(Migrate(*db_, std::span(steps, 1)).ok());
  ASSERT_TRUE(db_->Script("DROP TABLE migration_oldest").ok());
  EXPECT_TRUE(Migrate(*db_, std::span(steps, 1)).ok());
  EXPECT_TRUE(Migrate(*db_, steps).ok());
  EXPECT_TRUE(Migrate(*db_, std::span(steps, 1)).ok());
}

TEST_F(Sqlite, RefusedFileIsLeftAsItIs) {
  ASSERT_TRUE(db_->Script("CREATE TABLE migration(number INTEGER PRIMARY KEY, checksum INTEGER NOT"
                          " NULL, applied INTEGER NOT NULL); INSERT INTO migration VALUES(5,0,0)")
                  .ok());
  const Migration steps[] = {{1, "CREATE TABLE a(x)"}};
  EXPECT_EQ(Migrate(*db_, steps).code(), absl::StatusCode::kFailedPrecondition)
      << "who wrote it knew of no older programs";
  EXPECT_EQ(
      db_->Integer("SELECT count(*) FROM sqlite_master WHERE name='migration_oldest'").value(), 0);
}

TEST_F(Sqlite, FailedMigrationLeavesNothing) {
  const Migration broken[] = {{1, "CREATE TABLE a(x); INSERT INTO nowhere VALUES(1)"}};
  EXPECT_FALSE(Migrate(*db_, broken).ok());
  const Migration mended[] = {{1, "CREATE TABLE a(x)"}};
  EXPECT_TRUE(Migrate(*db_, mended).ok());
}

TEST_F(Sqlite, CheckpointEmptiesTheLog) {
  ASSERT_TRUE(db_->Run("INSERT INTO t VALUES(1,1)").ok());
  auto result = db_->Checkpoint(Connection::Checkpointing::kTruncate);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/test.db-wal"), 0U);
}

}  // namespace
}  // namespace posthorn::sqlite
