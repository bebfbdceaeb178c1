#include "lib/file/sqlite_vfs.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <thread>

#include "lib/base/strings.h"
#include "lib/file/faults.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"

namespace posthorn::file {
namespace {

class Folder {
 public:
  Folder() {
    // In memory where that can be had: hundreds of databases are opened.
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    name += "/posthorn_vfs_XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

class Database {
 public:
  Database(const std::string& path, const char* vfs) {
    sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
    sqlite3_busy_timeout(handle_, 10'000);
    Run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  }
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  int Run(const std::string& sql) {
    return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  }
  std::string Value(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      return sqlite3_errmsg(handle_);
    }
    std::string value = "(none)";
    if (sqlite3_step(statement) == SQLITE_ROW) {
      value = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return value;
  }

 private:
  sqlite3* handle_ = nullptr;
};

class Registered {
 public:
  explicit Registered(FileSystem& system) {
    EXPECT_TRUE(RegisterSqliteVfs(system, "posthorn_test", "db").ok());
  }
  ~Registered() { UnregisterSqliteVfs("posthorn_test"); }
};

constexpr char kVfs[] = "posthorn_test";
constexpr char kInsert[] = "INSERT INTO t(body) VALUES(zeroblob(6000))";

TEST(SqliteVfs, TwoConnectionsSeeEachOthersCommitsAndSqlitesOwnVfsReadsTheFile) {
  const Folder folder;
  const Registered registered(Real());
  const std::string path = folder.path + "/a.db";
  Database one(path, kVfs);
  ASSERT_EQ(one.Run("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)"), SQLITE_OK);
  Database two(path, kVfs);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ((i % 2 == 0 ? one : two).Run(kInsert), SQLITE_OK);
    EXPECT_EQ((i % 2 == 0 ? two : one).Value("SELECT count(*) FROM t"), base::StrCat(i + 1));
  }
  EXPECT_EQ(one.Value("PRAGMA wal_checkpoint(TRUNCATE)"), "0");
  Database other(path, "unix");
  EXPECT_EQ(other.Value("SELECT count(*) FROM t"), "50");
  EXPECT_EQ(other.Value("PRAGMA integrity_check"), "ok");
}

TEST(SqliteVfs, LargeTransactionsSpillAndReadTheirOwnPages) {
  const Folder folder;
  const Registered registered(Real());
  Database database(folder.path + "/a.db", kVfs);
  database.Run("PRAGMA cache_size=10; CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
  ASSERT_EQ(database.Run("BEGIN"), SQLITE_OK);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(database.Run(kInsert), SQLITE_OK);
  EXPECT_EQ(database.Value("SELECT sum(length(body)) FROM t"), "1800000");
  ASSERT_EQ(database.Run("COMMIT"), SQLITE_OK);
  ASSERT_EQ(database.Run("BEGIN; DELETE FROM t; ROLLBACK"), SQLITE_OK);
  EXPECT_EQ(database.Value("SELECT count(*) FROM t"), "300");
  EXPECT_EQ(database.Value("PRAGMA integrity_check"), "ok");
}

TEST(SqliteVfs, GathersTheFramesOfACommitIntoOneWrite) {
  const Folder folder;
  Recorder recorder(Real(), folder.path);
  const Registered registered(recorder);
  Database database(folder.path + "/a.db", kVfs);
  database.Run("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
  ASSERT_EQ(database.Run(kInsert), SQLITE_OK);
  const size_t before = recorder.Log().size();
  ASSERT_EQ(database.Run(kInsert), SQLITE_OK);
  std::vector<Operation> log = recorder.Log();
  log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(before));
  ASSERT_EQ(log.size(), 2U);
  EXPECT_EQ(log[0].kind, Operation::Kind::kWrite);
  EXPECT_EQ(log[1].name, "db.wal");
}

TEST(SqliteVfs, FullDiskFailsTheTransactionOnly) {
  const Folder folder;
  Faults faults(Real());
  const Registered registered(faults);
  Database database(folder.path + "/a.db", kVfs);
  database.Run("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
  ASSERT_EQ(database.Run(kInsert), SQLITE_OK);
  faults.DiskFull(100);
  EXPECT_EQ(database.Run(kInsert), SQLITE_FULL);
  EXPECT_EQ(database.Value("SELECT count(*) FROM t"), "1");
  faults.Clear();
  EXPECT_EQ(database.Run(kInsert), SQLITE_OK);
  EXPECT_EQ(database.Value("SELECT count(*) FROM t"), "2");
}

std::vector<Operation> RecordCommits(const std::string& root) {
  Recorder recorder(Real(), root);
  const Registered registered(recorder);
  Database database(root + "/a.db", kVfs);
  EXPECT_EQ(database.Run("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)"), SQLITE_OK);
  for (int i = 1; i <= 30; ++i) {
    EXPECT_EQ(database.Run(kInsert), SQLITE_OK);
    recorder.Mark(base::StrCat(i));
    if (i % 10 == 0) database.Run("PRAGMA wal_checkpoint(RESTART)");
  }
  return recorder.Log();
}

// How many of the replayed prefixes had lost a commit or were damaged.
int BrokenReplays(const std::vector<Operation>& log, uint64_t step) {
  int broken = 0;
  for (uint64_t count = 0; count <= log.size(); count += step) {
    for (const Unsynced unsynced : {Unsynced::kDropped, Unsynced::kMixed}) {
      const Folder lost;
      EXPECT_TRUE(Materialise(log, {count, unsynced, count}, lost.path).ok());
      const size_t promised = MarksBefore(log, count).size();
      if (promised == 0) continue;
      Database database(lost.path + "/a.db", "unix");
      const auto rows = base::ParseInt<size_t>(database.Value("SELECT count(*) FROM t"));
      const bool whole = database.Value("PRAGMA integrity_check") == "ok";
      if (!rows || *rows < promised || *rows > promised + 1 || !whole) ++broken;
    }
  }
  return broken;
}

TEST(SqliteVfs, CommittedRowsSurviveAnyPowerLoss) {
  const Folder folder;
  EXPECT_EQ(BrokenReplays(RecordCommits(folder.path), 1), 0);
}

TEST(SqliteVfs, LeavingOutASyncLosesRows) {
  if (!HasTestHooks()) GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  for (const std::string name : {"db.wal", "db.main", "db.dir"}) {
    const Folder folder;
    SkipSyncForTest(name);
    const std::vector<Operation> log = RecordCommits(folder.path);
    SkipSyncForTest("");
    EXPECT_GT(BrokenReplays(log, 1), 0) << name;
  }
}

}  // namespace
}  // namespace posthorn::file
