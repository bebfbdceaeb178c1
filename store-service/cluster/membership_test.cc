#include "store-service/cluster/membership.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "store-service/lane/lane_fixture.h"

namespace posthorn::store_service {
namespace {

using std::chrono::milliseconds;

// Replicas of one store on one database, all on one loop.
struct TestReplica {
  TestReplica(net::Loop& loop, const std::string& path, const std::string& name)
      : owner(loop, path, {.owner = name, .lease_ms = 400}),
        membership(owner.lanes, {.name = name,
                                 .address = name + ":7001",
                                 .version = "1",
                                 .size = MembershipOptions::Size::kMany,
                                 .beat_ms = 50,
                                 .look_ms = 10,
                                 .dead_ms = 300,
                                 .drain_ms = 10000}) {}
  int lanes() const {
    int count = 0;
    for (uint32_t lane = 0; lane < base::kLanes; ++lane) count += owner.lanes.held(lane) ? 1 : 0;
    return count;
  }
  TestOwner owner;
  Membership membership;
};

class MembershipTest : public LaneTest {
 protected:
  TestReplica& Start(const std::string& name) {
    auto& replica = replicas_[name];
    replica = std::make_unique<TestReplica>(loop_, dir_.File("mail.db"), name);
    const absl::Status status = testing::RunTask(loop_, replica->membership.Start());
    EXPECT_TRUE(status.ok()) << status;
    return *replica;
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

}  // namespace
}  // namespace posthorn::store_service
