#include "store-service/cluster/membership.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "store-service/cluster/name.h"
#include "store-service/lane/lane_fixture.h"

namespace posthorn::store_service {
namespace {

using std::chrono::milliseconds;

// Replicas of one store on one database, all on one loop.
struct TestReplica {
  TestReplica(net::Loop& loop, const std::string& path, const std::string& name,
              const std::string& process)
      : owner(loop, path, {.owner = name, .lease_ms = 400}),
        options{.name = name,
                .address = process + ":7001",
                .version = "1",
                .instance = process,
                .replaced = [this](const absl::Status& who) { replaced = who; },
                .size = MembershipOptions::Size::kMany,
                .beat_ms = 50,
                .look_ms = 10,
                .dead_ms = 300,
                .drain_ms = 10000},
        membership(owner.lanes, options) {}
  int lanes() const {
    int count = 0;
    for (uint32_t lane = 0; lane < base::kLanes; ++lane) count += owner.lanes.held(lane) ? 1 : 0;
    return count;
  }
  absl::Status replaced;
  TestOwner owner;
  MembershipOptions options;
  Membership membership;
};

class MembershipTest : public LaneTest {
 protected:
  TestReplica& Start(const std::string& name) {
    TestReplica& replica = Make(name, name);
    const absl::Status status = Begin(replica);
    EXPECT_TRUE(status.ok()) << status;
    return replica;
  }
  // Not started yet.
  TestReplica& Make(const std::string& name, const std::string& process) {
    auto& replica = replicas_[process];
    replica = std::make_unique<TestReplica>(loop_, dir_.File("mail.db"), name, process);
    return *replica;
  }
  // As a store starts.
  absl::Status Begin(TestReplica& replica) {
    const absl::Status claimed =
        testing::RunTask(loop_, ClaimName(loop_, replica.owner.database, replica.options));
    return claimed.ok() ? testing::RunTask(loop_, replica.membership.Start()) : claimed;
  }
  void TearDown() override {
    for (auto& [name, replica] : replicas_) testing::RunTask(loop_, End(*replica));
    replicas_.clear();
  }
  net::Task<void> End(TestReplica& replica) {
    co_await replica.membership.Drain();
    co_await replica.owner.lanes.Stop();
  }
  void Until(const std::function<bool()>& condition) {
    testing::RunTask(loop_, WaitUntil(condition));
  }
  net::Task<void> WaitUntil(std::function<bool()> condition) {
    while (!condition()) co_await net::Sleep(loop_, milliseconds(2));
  }
  // What the map of `replica` says about account 1's lane.
  static std::string OwnerOf(const TestReplica& replica, uint32_t lane) {
    const auto& map = replica.membership.map();
    if (!map.lanes(static_cast<int>(lane)).has_owner()) return "";
    return map.replicas(static_cast<int>(map.lanes(static_cast<int>(lane)).owner())).name();
  }
  static bool Agree(const TestReplica& a, const TestReplica& b) {
    for (uint32_t lane = 0; lane < base::kLanes; ++lane) {
      if (OwnerOf(a, lane).empty() || OwnerOf(a, lane) != OwnerOf(b, lane)) return false;
    }
    return true;
  }

  std::map<std::string, std::unique_ptr<TestReplica>> replicas_;
};

TEST_F(MembershipTest, TheFirstReplicaTakesEverythingTheSecondItsShare) {
  TestReplica& a = Start("a");
  Until([&] { return a.lanes() == 32; });
  TestReplica& b = Start("b");
  Until([&] { return a.lanes() == 16 && b.lanes() == 16 && Agree(a, b); });
  EXPECT_EQ(a.membership.map().replicas_size(), 2);
  EXPECT_EQ(a.membership.map().replicas(1).address(), "b:7001");
}

TEST_F(MembershipTest, HandingOverRefusesNothingThatWaitsForTheOwner) {
  TestReplica& a = Start("a");
  Until([&] { return a.lanes() == 32; });
  int done = 0, refused = 0;
  bool stop = false;
  TestReplica* b = nullptr;
  // A writer as the router is: it asks again elsewhere when it is refused.
  const auto write = [&](AccountId account) -> net::Task<void> {
    while (!stop) {
      TestReplica& to = b != nullptr && b->owner.lanes.held(base::LaneOf(account)) ? *b : a;
      const auto uid = co_await to.owner.lanes.Run<Uid>(account, nullptr, AddTo("INBOX"));
      if (uid.ok()) {
        ++done;
      } else {
        EXPECT_EQ(base::Message(uid.status()), base::kNotOwner);
        ++refused;
      }
      co_await net::Sleep(loop_, milliseconds(1));
    }
  };
  for (AccountId account = 1; account <= 32; ++account) loop_.Spawn("write", write(account));
  Until([&] { return done > 100; });
  b = &Start("b");
  Until([&] { return b->lanes() == 16; });
  const int before = done;
  Until([&] { return done > before + 100; });
  stop = true;
  size_t rows = 0;
  testing::RunTask(loop_, End(a));
  replicas_.erase("a");
  Until([&] { return b->lanes() == 32; });
  for (AccountId account = 1; account <= 32; ++account)
    rows += Rows(b->owner.database, account).size();
  EXPECT_EQ(rows, static_cast<size_t>(done));
}

TEST_F(MembershipTest, ADeadReplicasLanesAreTakenOver) {
  TestReplica& a = Start("a");
  TestReplica& b = Start("b");
  Until([&] { return a.lanes() == 16 && b.lanes() == 16; });
  // No beat, no renewal, no release: as if it was killed.
  replicas_["b"]->owner.database.dead = true;
  Until([&] { return a.lanes() == 32; });
  EXPECT_EQ(b.lanes(), 0);
  EXPECT_EQ(a.membership.map().replicas_size(), 1);
  ASSERT_TRUE(Add(a.owner, 1).ok());
  // It comes back: it has lost everything and gets its share anew.
  replicas_["b"]->owner.database.dead = false;
  Until([&] { return a.lanes() == 16 && b.lanes() == 16; });
}

TEST_F(MembershipTest, ADatabaseThatWasAwayMakesNobodyDead) {
  TestReplica& a = Start("a");
  TestReplica& b = Start("b");
  Until([&] { return a.lanes() == 16 && b.lanes() == 16 && Agree(a, b); });
  const uint64_t epoch = a.owner.lanes.epoch(0);
  for (auto& [name, replica] : replicas_) replica->owner.database.dead = true;
  Until([&] { return a.lanes() == 0 && b.lanes() == 0; });  // nothing is certain any more
  for (auto& [name, replica] : replicas_) replica->owner.database.dead = false;
  Until([&] { return a.lanes() == 16 && b.lanes() == 16; });
  EXPECT_EQ(a.membership.map().replicas_size(), 2);
  EXPECT_EQ(std::max(a.owner.lanes.epoch(0), b.owner.lanes.epoch(0)), epoch);
}

TEST_F(MembershipTest, WhoDrainsHandsEverythingOverAndIsGone) {
  TestReplica& a = Start("a");
  TestReplica& b = Start("b");
  Until([&] { return a.lanes() == 16 && b.lanes() == 16; });
  testing::RunTask(loop_, a.membership.Drain());
  EXPECT_EQ(a.lanes(), 0);
  EXPECT_EQ(b.lanes(), 32);
  Until([&] { return b.membership.map().replicas_size() == 1; });
}

TEST_F(MembershipTest, AloneItDoesNotWaitForAnybody) {
  TestReplica& a = Start("a");
  Until([&] { return a.lanes() == 32; });
  testing::RunTask(loop_, End(a));
  replicas_.clear();
}

TEST_F(MembershipTest, ASecondProcessOfANameIsRefusedInWordsAndDisturbsNothing) {
  TestReplica& first = Start("a");
  Until([&] { return first.lanes() == 32; });
  const uint64_t epoch = first.owner.lanes.epoch(0);
  const absl::Status status = Begin(Make("a", "second"));
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_TRUE(base::Message(status).starts_with("the name \"a\" is in use by a:7001 (started 2"))
      << status;
  EXPECT_TRUE(base::Message(status).ends_with(" UTC)")) << status;
  replicas_.erase("second");
  EXPECT_EQ(first.lanes(), 32);
  EXPECT_EQ(first.owner.lanes.epoch(0), epoch);
  EXPECT_TRUE(first.replaced.ok());
  EXPECT_TRUE(Add(first.owner, 1).ok());
}

TEST_F(MembershipTest, AProcessThatWasKilledIsFollowedByAnotherOfItsName) {
  TestReplica& killed = Start("a");
  Until([&] { return killed.lanes() == 32; });
  killed.owner.database.dead = true;
  TestReplica& again = Make("a", "again");
  ASSERT_TRUE(Begin(again).ok());
  Until([&] { return again.lanes() == 32; });
  EXPECT_EQ(again.membership.map().replicas_size(), 1);
  EXPECT_EQ(again.membership.map().replicas(0).address(), "again:7001");
}

TEST_F(MembershipTest, WhoFindsAnotherUnderItsNameLeaves) {
  TestReplica& frozen = Start("a");
  Until([&] { return frozen.lanes() == 32; });
  frozen.owner.database.dead = true;
  TestReplica& again = Make("a", "again");
  ASSERT_TRUE(Begin(again).ok());
  frozen.owner.database.dead = false;  // it wakes up
  Until([&] { return !frozen.replaced.ok() && again.lanes() == 32; });
  EXPECT_TRUE(absl::IsAlreadyExists(frozen.replaced));
  EXPECT_NE(base::Message(frozen.replaced).find("again:7001"), std::string_view::npos);
  Until([&] { return frozen.lanes() == 0; });
  testing::RunTask(loop_, End(frozen));
  replicas_.erase("a");
  EXPECT_EQ(again.lanes(), 32);
  EXPECT_TRUE(again.replaced.ok());
}

TEST_F(MembershipTest, WhoEndsInOrderLeavesItsNameToTheNextAtOnce) {
  TestReplica& first = Start("a");
  testing::RunTask(loop_, End(first));
  replicas_.erase("a");
  TestReplica& next = Make("a", "next");
  net::Loop& loop = loop_;
  next.options.dead_ms = next.options.beat_ms = 3600'000;  // waiting would take an hour
  ASSERT_TRUE(testing::RunTask(loop, ClaimName(loop, next.owner.database, next.options)).ok());
  ASSERT_TRUE(testing::RunTask(loop, next.membership.Start()).ok());
}

}  // namespace
}  // namespace posthorn::store_service
