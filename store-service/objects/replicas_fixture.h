#pragma once

// Two configurations on one MySQL database and one loop.

#include <set>
#include <thread>

#include "lib/testing/temp_dir.h"
#include "store-service/directory/schema.h"
#include "store-service/objects/objects_fixture.h"

namespace posthorn::store_service {

using ::testing::UnorderedElementsAre;

struct EndRecorder final : SessionEnder {
  void EndSessions(base::AccountId account) override { accounts.push_back(account); }
  std::vector<base::AccountId> accounts;
};

struct Eraser final : AccountLifecycle {
  explicit Eraser(absl::Status a) : answer(std::move(a)) {}
  net::Task<absl::Status> EraseAccount(base::AccountId account) override {
    asked.push_back(account);
    co_return answer;
  }
  absl::Status answer;
  std::vector<base::AccountId> asked;
};

class ReplicasTest : public ::testing::Test {
 protected:
  void SetUp() override {
    schema_ = server().NewDatabase();
    Restart(std::chrono::milliseconds(20));
  }
  virtual posthorn::testing::MariadbServer& server() { return Server(); }
  virtual std::shared_ptr<sql::Database> Database() {
    return sql::OpenMysql(MysqlOptions(server(), schema_));
  }
  Configuration::Options OptionsHere() {
    Configuration::Options options{.directory = directory_.path(), .hash_threads = 2};
    options.database = Database();
    options.erase_retry = std::chrono::milliseconds(50);
    return options;
  }
  void Restart(std::chrono::milliseconds follow) {
    for (auto& store : stores_) {
      store.reset();
      Configuration::Options options = OptionsHere();
      options.follow = follow;
      auto opened = Configuration::Open(loop_, file::Real(), std::move(options));
      ASSERT_TRUE(opened.ok()) << opened.status();
      store = *std::move(opened);
    }
  }
  Configuration& a() { return *stores_[0]; }
  Configuration& b() { return *stores_[1]; }

  template <class T>
  T Run(net::Task<T> task) {
    std::optional<T> result;
    loop_.Spawn("test", Collect<T>(&loop_, std::move(task), &result));
    loop_.Run();
    return *std::move(result);
  }
  absl::Status Commit(Configuration& store, std::vector<ChangeInput> changes,
                      std::optional<uint64_t> head = {}) {
    return Run(store.Commit({.expected_head = head.value_or(store.head()),
                             .changes = std::move(changes),
                             .author = "tester",
                             .reason = ""}))
        .status();
  }
  // False: it did not become true in time.
  bool Until(std::function<bool()> condition,
             std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    return Run(Watch(&loop_, std::move(condition), limit));
  }
  static net::Task<bool> Watch(net::Loop* loop, std::function<bool()> condition,
                               std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) co_return false;
      co_await net::Sleep(*loop, std::chrono::milliseconds(2));
    }
    co_return true;
  }
  // As an administrator does: again after a lost race.
  net::Task<void> CommitMany(Configuration* store, std::string prefix, int count, int* running) {
    for (int i = 0; i < count;) {
      CommitInput input{.expected_head = store->head(),
                        .changes = {Listener(base::StrCat(prefix, i), 1)}};
      const auto done = co_await store->Commit(std::move(input));
      if (done.ok()) {
        ++i;
      } else {
        EXPECT_EQ(done.status().code(), absl::StatusCode::kAborted) << done.status();
        (void)co_await store->CatchUp();
      }
    }
    if (--*running == 0) loop_.Stop();
  }
  static std::vector<std::string> Addresses(const std::vector<FeedChange>& changes) {
    std::vector<std::string> addresses;
    for (const FeedChange& change : changes) {
      if (!change.address.empty()) addresses.push_back(change.address);
    }
    return addresses;
  }

  posthorn::testing::TempDir directory_;
  std::string schema_;
  net::Loop loop_;
  std::unique_ptr<Configuration> stores_[2];
};

}  // namespace posthorn::store_service
