// A real cluster of three nodes.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "store-service/database/mysql/database_for_test.h"
#include "store-service/database/mysql/fenced_lanes.h"

namespace posthorn::store_service {
namespace {

using Clock = std::chrono::steady_clock;
using absl::StatusCode;
using mysql::Connection;
using mysql::Transaction;
using testing::GaleraCluster;

class GaleraTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { cluster_ = GaleraCluster::Start().release(); }
  static void TearDownTestSuite() { delete cluster_; }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    name_ = cluster_->NewDatabase();
    ASSERT_FALSE(name_.empty());
  }
  std::unique_ptr<Database> OpenAt(int node) { return OpenForTest(cluster_->Url(name_, node)); }
  static LaneRow Acquire(Database& database, std::string_view owner, int64_t lease_ms = 60000) {
    const auto lane = database.AcquireLane(1, owner, lease_ms);
    EXPECT_TRUE(lane.ok()) << lane.status();
    return lane.value_or(LaneRow());
  }

  static GaleraCluster* cluster_;
  std::string name_;
};

GaleraCluster* GaleraTest::cluster_ = nullptr;

TEST_F(GaleraTest, KilledNodeLosesAndDoublesNothingAndTheWriterGoesOn) {
  auto database = OpenAt(0);
  SimpleOwner owner(*database, Acquire(*database, "one"));
  std::atomic<bool> stop = false;
  Clock::duration longest{};
  std::thread load([&] {
    while (!stop) {
      const auto begin = Clock::now();
      (void)owner.Deliver();
      longest = std::max(longest, Clock::now() - begin);
    }
  });
  while (Columns(*OpenAt(1), 1, 2, 0).size() < 50) {
  }
  cluster_->node(0).Kill();
  const size_t before = Columns(*OpenAt(1), 1, 2, 0).size();
  while (Columns(*OpenAt(1), 1, 2, 0).size() < before + 50) {
  }
  stop = true;
  load.join();
  EXPECT_LT(longest, std::chrono::seconds(10));
  owner.ExpectAllThere(*OpenAt(1));
  owner.ExpectAllThere(*OpenAt(2));
  EXPECT_TRUE(cluster_->Rejoin(0));
  owner.ExpectAllThere(*OpenAt(0));
}

TEST_F(GaleraTest, FrozenNodeIsLeftBehindAndItsLateWordChangesNothing) {
  auto database = OpenAt(1);
  SimpleOwner owner(*database, Acquire(*database, "one"));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(owner.Deliver().ok());
  cluster_->node(1).Freeze();
  const auto begin = Clock::now();
  absl::Status status = owner.Deliver();
  for (int i = 0; i < 20 && !status.ok(); ++i) status = owner.Deliver();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(owner.Deliver().ok());
  cluster_->node(1).Thaw();
  owner.ExpectAllThere(*OpenAt(2));
  while (cluster_->SizeSeenBy(1) != GaleraCluster::kNodes) {
  }
  owner.ExpectAllThere(*OpenAt(1));
}

TEST_F(GaleraTest, TransactionPausedOnOneNodeFailsWhenItsLaneIsTakenOnAnother) {
  auto first = OpenAt(0);
  auto second = OpenAt(1);
  const LaneRow lane = Acquire(*first, "one", -1);
  auto paused = *Connection::Open(MysqlTestOptions(cluster_->Url(name_, 0)).connection);
  auto transaction = Transaction::Begin(*paused);
  ASSERT_TRUE(paused->Execute(FenceText({{1, lane.epoch, 5}})).ok());
  ASSERT_TRUE(WriteRowsOn(*paused, Delivered(1)).ok());
  const LaneRow taken = Acquire(*second, "two");
  EXPECT_GT(taken.epoch, lane.epoch);
  EXPECT_FALSE(transaction->Commit().ok());
  EXPECT_EQ(first->Commit({{1, lane.epoch, 6}}, Delivered(1)).code(), StatusCode::kAborted);
  EXPECT_TRUE(Columns(*first, 1, 2, 0).empty());
  ASSERT_TRUE(second->Commit({{1, taken.epoch, 6}}, Delivered(1)).ok());
  EXPECT_EQ(Columns(*first, 1, 2, 0).size(), 1u);
}

TEST_F(GaleraTest, CommitOnItsWayIsDecidedByAskingOnAnotherNode) {
  auto first = OpenAt(0);
  auto second = OpenAt(1);
  const LaneRow lane = Acquire(*first, "one");
  auto late = *Connection::Open(MysqlTestOptions(cluster_->Url(name_, 0)).connection);
  auto transaction = Transaction::Begin(*late);
  ASSERT_TRUE(late->Execute(FenceText({{1, lane.epoch, 5}})).ok());
  ASSERT_TRUE(WriteRowsOn(*late, Delivered(1)).ok());
  // Who is told "not yet" may run the batch again: the late one must not come true any more.
  EXPECT_NE(second->ReadLane(1)->batch, 5u);
  EXPECT_FALSE(transaction->Commit().ok());
  ASSERT_TRUE(second->Commit({{1, lane.epoch, 6}}, Delivered(1)).ok());
  EXPECT_EQ(Columns(*second, 1, 2, 0).size(), 1u);
}

TEST_F(GaleraTest, TwoWritersOnTwoNodesRunTheirLostTransactionsAgain) {
  auto first = OpenAt(0);
  auto second = OpenAt(1);
  const LaneRow one = Acquire(*first, "one");
  const auto two = *second->AcquireLane(2, "two", 60000);
  const auto deliver = [](Database& database, AccountId account, uint64_t epoch) {
    for (Uid uid = 1; uid <= 100; ++uid) {
      WriteBatch batch;
      batch.PutBody({uid, account, "Received: x\r\n", "digest"});
      batch.messages.push_back(TestMessage(account, 2, uid, uid));
      const absl::Status status =
          database.Commit({{static_cast<uint32_t>(account), epoch, uid}}, batch);
      // One that was aborted while it was replicated may have been done all the same; its second
      // run finds its own rows, and the lanes then look before they do anything again.
      EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << status;
    }
  };
  std::thread other([&] { deliver(*second, 2, two.epoch); });
  deliver(*first, 1, one.epoch);
  other.join();
  EXPECT_EQ(Columns(*first, 2, 2, 0).size(), 100u);
  EXPECT_EQ(Columns(*second, 1, 2, 0).size(), 100u);
}

TEST_F(GaleraTest, WithoutQuorumEverybodyIsToldQuicklyAndAllGoesOnWhenItIsBack) {
  auto database = OpenAt(0);
  SimpleOwner owner(*database, Acquire(*database, "one"));
  ASSERT_TRUE(owner.Deliver().ok());
  cluster_->node(1).Kill();
  cluster_->node(2).Kill();
  const auto begin = Clock::now();
  // The first may wait until the others are given up; it has not happened then or is not known.
  absl::Status status = database->Commit({{1, 0, 0}}, {});
  while (status.code() == StatusCode::kAborted && Clock::now() - begin < std::chrono::seconds(20)) {
    status = database->Commit({{1, 0, 0}}, {});
  }
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  const auto again = Clock::now();
  EXPECT_EQ(database->ReadLane(1).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(database->OpenSnapshot().status().code(), StatusCode::kUnavailable);
  EXPECT_LT(Clock::now() - again, std::chrono::seconds(1));
  cluster_->node(0).Sql("SET GLOBAL wsrep_provider_options='pc.bootstrap=1'");
  const auto back = Clock::now();
  while (!owner.Deliver().ok() && Clock::now() - back < std::chrono::seconds(20)) {
  }
  ASSERT_TRUE(cluster_->node(1).Restart());
  EXPECT_TRUE(cluster_->Rejoin(2));
  EXPECT_TRUE(owner.Deliver().ok());
  owner.ExpectAllThere(*OpenAt(1));
}

}  // namespace
}  // namespace posthorn::store_service
