#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "store-service/database/conformance_suite.h"
#include "store-service/database/conformance_upkeep.h"
#include "store-service/database/sqlite/sqlite_database.h"

namespace posthorn::store_service {
namespace {

class TempFolder {
 public:
  TempFolder() {
    std::string name = testing::TempDir() + "/posthorn-database-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class SqliteFactory {
 public:
  absl::StatusOr<std::unique_ptr<Database>> Open() {
    return OpenSqliteDatabase({.path = folder_.path() + "/mail.db", .checkpoint_frames = 50});
  }
  std::string path() const { return folder_.path() + "/mail.db"; }

 private:
  TempFolder folder_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DatabaseConformance, SqliteFactory);
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DatabaseUpkeep, SqliteFactory);

// stack.md 1.4: under steady load the log must not grow for ever.
TEST(SqliteDatabase, KeepsTheLogShortUnderSteadyLoad) {
  SqliteFactory factory;
  auto database = factory.Open();
  ASSERT_TRUE(database.ok()) << database.status();
  const auto lane = (*database)->AcquireLane(1, "one", 60000);
  ASSERT_TRUE(lane.ok());
  uintmax_t largest = 0;
  for (uint32_t i = 1; i <= 2000; ++i) {
    WriteBatch batch;
    batch.messages.push_back(TestMessage(1, 2, i, i));
    ASSERT_TRUE((*database)->Commit({{1, lane->epoch, i}}, batch).ok());
    largest = std::max(largest, std::filesystem::file_size(factory.path() + "-wal"));
  }
  EXPECT_LT(largest, uintmax_t{4} * 1024 * 1024);
}

}  // namespace
}  // namespace posthorn::store_service
