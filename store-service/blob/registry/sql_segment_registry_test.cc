#include "store-service/blob/registry/sql_segment_registry.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <thread>

#include "lib/base/strings.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/blob/blob_fixture.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/sqlite.h"

namespace posthorn::store_service {
namespace {

// The three of them keep the same contract.
class Registry : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "mysql") name_ = Server().NewDatabase();
    if (std::string(GetParam()) == "memory") memory_ = std::make_unique<MemorySegmentRegistry>();
  }
  // Each call as another store would open it.
  SegmentRegistry& Open() {
    if (memory_ != nullptr) return *memory_;
    std::shared_ptr<sql::Database> database;
    if (name_.empty()) {
      database = sql::OpenSqlite({.path = directory_.File("blobs.db"), .vfs = ""});
    } else {
      mysql::Options options;
      options.target = mysql::ParseTarget(Server().Url(name_)).value();
      options.password = posthorn::testing::MariadbServer::kPassword;
      database = sql::OpenMysql(options);
    }
    auto registry = SqlSegmentRegistry::Open(std::move(database));
    EXPECT_TRUE(registry.ok()) << registry.status();
    open_.push_back(*std::move(registry));
    return *open_.back();
  }
  // One server for all tests of this program.
  static posthorn::testing::MariadbServer& Server() {
    static const std::unique_ptr<posthorn::testing::MariadbServer> kServer =
        posthorn::testing::MariadbServer::Start();
    return *kServer;
  }

  posthorn::testing::TempDir directory_;
  std::string name_;
  std::unique_ptr<MemorySegmentRegistry> memory_;
  std::vector<std::unique_ptr<SegmentRegistry>> open_;
};

TEST_P(Registry, NumbersAreGivenOnceAlsoAfterTheirRowsAreGone) {
  SegmentRegistry& a = Open();
  SegmentRegistry& b = Open();
  const SegmentRow first = a.Take("store-a").value();
  const SegmentRow second = b.Take("store-b").value();
  EXPECT_LT(first.number, second.number);
  ASSERT_TRUE(b.Remove(second).ok());
  EXPECT_EQ(a.Find(second.number).status().code(), absl::StatusCode::kNotFound);
  EXPECT_GT(a.Take("store-a")->number, second.number);
  EXPECT_EQ(b.Find(first.number).value(), first);
  EXPECT_EQ(first.writer, "store-a");
  EXPECT_EQ(first.state, SegmentState::kTaken);
}

TEST_P(Registry, ManyTakeAtOnceAndNoneGetsAnothersNumber) {
  std::mutex mutex;
  std::set<uint64_t> numbers;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, registry = &Open()] {
      for (int i = 0; i < 20; ++i) {
        const uint64_t number = registry->Take("x").value().number;
        const std::lock_guard lock(mutex);
        numbers.insert(number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(numbers.size(), 80U);
}

TEST_P(Registry, RowsChangeOnlyFromWhatTheyWereReadAs) {
  SegmentRegistry& a = Open();
  SegmentRegistry& b = Open();
  const SegmentRow taken = a.Take("store-a").value();
  SegmentRow row = taken;
  row.state = SegmentState::kSealed;
  row.generation = 3;
  row.reserved = 4;
  row.sealed = 1'000'000'007;
  row.doubtful = 88;
  const SegmentRow changed = b.Update(row).value();
  EXPECT_EQ(a.Find(taken.number).value(), changed);
  EXPECT_EQ(changed.sealed, 1'000'000'007U);
  EXPECT_EQ(a.Update(taken).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(a.Remove(taken).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(a.List().value(), std::vector<SegmentRow>{changed});
  ASSERT_TRUE(a.Remove(changed).ok());
  EXPECT_EQ(b.Update(changed).status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(b.List()->empty());
}

TEST_P(Registry, FolderOfOneStoreIsImportedOnceAndAnothersIsRefused) {
  SegmentRegistry& a = Open();
  std::vector<SegmentRow> rows(2);
  rows[0].number = 3;
  rows[0].writer = rows[1].writer = "store";
  rows[0].state = rows[1].state = SegmentState::kSealed;
  rows[1].number = 5;
  ASSERT_TRUE(a.Import(rows, 9).ok());
  ASSERT_TRUE(a.Import(rows, 9).ok());
  EXPECT_EQ(a.List()->size(), 2U);
  EXPECT_EQ(a.Take("store")->number, 9U);
  rows.pop_back();
  EXPECT_EQ(a.Import(rows, 9).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(Registry, FirstWordStays) {
  SegmentRegistry& a = Open();
  EXPECT_EQ(a.Identity("").value(), "");
  EXPECT_EQ(a.Identity("id-1").value(), "id-1");
  EXPECT_EQ(Open().Identity("id-2").value(), "id-1");
}

TEST_P(Registry, StoresShareAFolderOverIt) {
  const Folder folder;
  LocalBlobOptions options{.directory = folder.blobs(), .roll_bytes = 5'000, .registry = &Open()};
  options.writer = "a";
  const auto a = OpenStore(options);
  options.registry = &Open();
  options.writer = "b";
  const auto b = OpenStore(options);
  for (uint64_t i = 0; i < 30; ++i) {
    const BlobRef ref = AppendNow(i % 2 == 0 ? *a : *b, BodyOf(i)).value();
    EXPECT_EQ((i % 2 == 0 ? *b : *a).Read(ref, 0, 0).value(), BodyOf(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Registry, ::testing::Values("memory", "sqlite", "mysql"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace posthorn::store_service
