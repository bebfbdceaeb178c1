#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>

#include "store-service/lane/lane_fixture.h"

namespace posthorn::store_service {
namespace {

using Fault = FaultyDatabase::Fault;

// Collects the answers of operations that run at once.
class Answers {
 public:
  explicit Answers(net::Loop& loop) : loop_(&loop), all_(loop) {}
  void Start(LaneEngine& lanes, AccountId account,
             std::function<absl::StatusOr<Uid>(Change&)> apply) {
    ++open_;
    results.emplace_back(absl::UnknownError("open"));
    loop_->Spawn("answer", Wait(lanes, account, results.size() - 1, std::move(apply)));
  }
  void WaitAll() {
    if (open_ > 0) testing::RunTask(*loop_, all_.Get());
  }
  std::vector<absl::StatusOr<Uid>> results;

 private:
  net::Task<void> Wait(LaneEngine& lanes, AccountId account, size_t index,
                       std::function<absl::StatusOr<Uid>(Change&)> apply) {
    auto result = co_await lanes.Run<Uid>(account, nullptr, std::move(apply));
    results[index] = std::move(result);
    if (--open_ == 0) all_.Set(true);
  }
  net::Loop* loop_;
  net::Promise<bool> all_;
  int open_ = 0;
};

// Its row refers to a source that is not there: the database refuses the batch.
absl::StatusOr<Uid> Poison(Change& change) {
  Mailbox& inbox = *change.account().Find("INBOX");
  MessageColumns row;
  row.uid = 4000000000;
  return change.Copy(inbox, row, inbox, {});
}

TEST_F(LaneTest, PoisonousOperationFailsAlone) {
  auto owner = MakeOwner();
  Answers answers(loop_);
  for (int i = 0; i < 20; ++i) {
    for (const AccountId account : {AccountId{1}, AccountId{2}, AccountId{33}}) {
      answers.Start(owner->lanes, account, i == 7 && account == 2 ? Poison : AddTo("INBOX"));
    }
  }
  answers.WaitAll();
  int failed = 0;
  for (const auto& result : answers.results) failed += result.ok() ? 0 : 1;
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(answers.results[7 * 3 + 1].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Rows(owner->database, 1).size(), 20u);
  EXPECT_EQ(Rows(owner->database, 2).size(), 19u);
  EXPECT_EQ(Rows(owner->database, 33).size(), 20u);
  Stop(std::move(owner));
}

// The next owner's first batch has the number that ours would have had.
TEST_F(LaneTest, AnotherOwnersBatchIsNotTakenForOurs) {
  auto owner = MakeOwner();
  ASSERT_TRUE(Add(*owner, 1).ok());
  auto other = OpenSqliteDatabase({.path = dir_.File("mail.db")});
  ASSERT_TRUE(other.ok());
  std::atomic<bool> taken = false;
  owner->database.fault = [&] {
    if (taken.exchange(true)) return Fault::kNone;
    const LaneRow before = *(*other)->ReadLane(1);
    EXPECT_TRUE((*other)->RenewLanes({{1, before.epoch, 0}}, -1).ok());
    const LaneRow mine = *(*other)->AcquireLane(1, "two", 60000);
    EXPECT_TRUE((*other)->Commit({{1, mine.epoch, before.batch + 1}}, WriteBatch()).ok());
    return Fault::kUnknownBefore;
  };
  EXPECT_FALSE(Add(*owner, 1).ok());
  EXPECT_EQ(Rows(**other, 1).size(), 1u);
  Stop(std::move(owner));
}

TEST_F(LaneTest, UnknownOutcomeIsAskedFromTheDatabase) {
  auto owner = MakeOwner();
  ASSERT_TRUE(Add(*owner, 1).ok());
  Fault fault = Fault::kUnknownAfter;
  owner->database.fault = [&] { return std::exchange(fault, Fault::kNone); };
  EXPECT_EQ(*Add(*owner, 1), 2u);  // it had committed
  fault = Fault::kUnknownBefore;
  EXPECT_EQ(*Add(*owner, 1), 3u);  // it had not, and was run again
  EXPECT_EQ(Rows(owner->database, 1).size(), 3u);
  Stop(std::move(owner));
}

TEST_F(LaneTest, DatabaseThatIsAwayForAMomentFailsNobody) {
  auto owner = MakeOwner();
  ASSERT_TRUE(Add(*owner, 1).ok());
  int away = 5;
  owner->database.fault = [&] { return away-- > 0 ? Fault::kAway : Fault::kNone; };
  EXPECT_EQ(*Add(*owner, 1), 2u);
  Stop(std::move(owner));
}

TEST_F(LaneTest, DatabaseThatStaysAwayIsWaitedForOnlyOnce) {
  auto owner = MakeOwner({.patience = std::chrono::milliseconds(300)});
  ASSERT_TRUE(Add(*owner, 1).ok());
  int tries = 0;
  bool away = true;
  owner->database.fault = [&] { return ++tries, away ? Fault::kAway : Fault::kNone; };
  EXPECT_EQ(Add(*owner, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_GT(tries, 1);
  tries = 0;
  EXPECT_EQ(Add(*owner, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(tries, 1);
  away = false;
  EXPECT_EQ(*Add(*owner, 1), 2u);
  Stop(std::move(owner));
}

// A COMMIT that was refused may have happened: nothing is read of the account, and nothing done for
// anybody, until the database has said what became of it; then observers are told.
TEST_F(LaneTest, RefusedCommitIsSettledBeforeAnythingElse) {
  struct Doubts final : CommitObserver {
    void OnCommitted(const Batch&) override {}
    void OnLaneLost(uint32_t) override {}
    void OnDoubt(AccountId account) override { accounts.push_back(account); }
    std::vector<AccountId> accounts;
  } doubts;
  auto owner = MakeOwner({.patience = std::chrono::milliseconds(0)});
  owner->lanes.AddObserver(&doubts);
  ASSERT_TRUE(Add(*owner, 1).ok());
  ASSERT_TRUE(Add(*owner, 2).ok());
  owner->database.dead = true;
  owner->database.fault = [] { return Fault::kAwayAfter; };
  EXPECT_EQ(Add(*owner, 1).status().code(), absl::StatusCode::kUnavailable);
  owner->database.fault = nullptr;
  EXPECT_EQ(Add(*owner, 2).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(doubts.accounts.empty());
  owner->database.dead = false;
  absl::StatusOr<Uid> next = Add(*owner, 1);
  while (!next.ok()) next = Add(*owner, 1);
  EXPECT_EQ(*next, 3u);
  EXPECT_EQ(doubts.accounts, std::vector<AccountId>{1});
  EXPECT_EQ(Rows(owner->database, 1).size(), 3u);
  Stop(std::move(owner));
}

TEST_F(LaneTest, StoppingDoesNotWaitForADatabaseThatIsAway) {
  auto owner = MakeOwner({.patience = std::chrono::milliseconds(0)});
  ASSERT_TRUE(Add(*owner, 1).ok());
  owner->database.dead = true;
  owner->database.fault = [] { return Fault::kAway; };
  EXPECT_EQ(Add(*owner, 1).status().code(), absl::StatusCode::kUnavailable);
  Answers answers(loop_);
  answers.Start(owner->lanes, 1, AddTo("INBOX"));
  testing::RunTask(loop_, owner->lanes.Stop());
  answers.WaitAll();
  EXPECT_EQ(answers.results[0].status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(LaneTest, FullDiskFailsWritesAndNothingElse) {
  auto owner = MakeOwner();
  ASSERT_TRUE(Add(*owner, 1).ok());
  Fault fault = Fault::kFull;
  owner->database.fault = [&] { return fault; };
  EXPECT_EQ(Add(*owner, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(testing::RunTask(loop_, owner->lanes.Committed(1)).ok());
  fault = Fault::kNone;
  EXPECT_EQ(*Add(*owner, 1), 2u);
  Stop(std::move(owner));
}

// deep-structures 6: the fence.
TEST_F(LaneTest, OwnerPausedBeforeCommitPastItsLeaseCannotCommit) {
  std::promise<void> wake;
  std::atomic<bool> pause = false;
  std::promise<void> paused;
  auto first = MakeOwner({.owner = "first", .lease_ms = 200, .before_commit = [&] {
                            if (!pause.exchange(false)) return;
                            paused.set_value();
                            wake.get_future().wait();
                          }});
  ASSERT_TRUE(Add(*first, 1).ok());
  pause = true;
  Answers answers(loop_);
  answers.Start(first->lanes, 1, AddTo("INBOX"));
  // The loop must turn for the batch to reach the committer, which then stands still.
  const std::future<void> stands = paused.get_future();
  while (stands.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    testing::RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  }
  auto second = MakeOwner({.owner = "second"}, {});
  while (!second->lanes.held(1)) {
    ASSERT_TRUE(testing::RunTask(loop_, second->lanes.Acquire({1})).ok());
  }
  EXPECT_EQ(*Add(*second, 1), 2u);
  wake.set_value();
  answers.WaitAll();
  EXPECT_EQ(answers.results[0].status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(first->lanes.held(1));
  EXPECT_EQ(Rows(second->database, 1).size(), 2u);
  Stop(std::move(first));
  Stop(std::move(second));
}

TEST_F(LaneTest, TwoOwnersTradeLanesAtRandomUnderLoad) {
  std::mt19937 random(7);
  std::unique_ptr<TestOwner> owners[2];
  owners[0] = MakeOwner({.owner = "a"}, {1, 2});
  owners[1] = MakeOwner({.owner = "b"}, {3, 4});
  Answers answers(loop_);
  std::vector<AccountId> asked;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 20; ++i) {
      const AccountId account = 1 + random() % 4;
      asked.push_back(account);
      answers.Start(owners[random() % 2]->lanes, account, AddTo("INBOX"));
    }
    const uint32_t lane = 1 + random() % 4;
    TestOwner& from = *owners[random() % 2];
    ASSERT_TRUE(testing::RunTask(loop_, from.lanes.Release(lane)).ok());
    for (auto& owner : owners) {
      ASSERT_TRUE(testing::RunTask(loop_, owner->lanes.Acquire({lane})).ok());
    }
  }
  answers.WaitAll();
  size_t succeeded = 0;
  for (const auto& result : answers.results) succeeded += result.ok() ? 1 : 0;
  EXPECT_GT(succeeded, 200u);
  size_t rows = 0;
  for (AccountId account = 1; account <= 4; ++account) {
    const auto stored = Rows(owners[0]->database, account);
    for (size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(stored[i].uid, i + 1);
    rows += stored.size();
  }
  EXPECT_EQ(rows, succeeded);
  for (auto& owner : owners) Stop(std::move(owner));
}

TEST_F(LaneTest, ReopenedStoreCarriesOn) {
  auto owner = MakeOwner();
  ASSERT_TRUE(Add(*owner, 1).ok());
  owner.reset();  // as after a crash: nothing released
  auto again = MakeOwner();
  EXPECT_EQ(*Add(*again, 1), 2u);
  Stop(std::move(again));
}

}  // namespace
}  // namespace posthorn::store_service
