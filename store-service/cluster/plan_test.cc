#include "store-service/cluster/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace posthorn::store_service {
namespace {

// Lane l is owned by owners[l % owners.size()], with a lease that runs.
ClusterRows Rows(const std::vector<std::string>& owners) {
  ClusterRows rows;
  rows.now_ms = 1000;
  for (uint32_t i = 0; i < base::kLanes; ++i)
    rows.lanes.push_back({i, owners[i % owners.size()], 1, 0, 5000});
  return rows;
}

std::map<std::string, int> Counts(const Plan& plan) {
  std::map<std::string, int> counts;
  for (const std::string& owner : plan.owner) ++counts[owner];
  return counts;
}

// Applies the plan as if every replica did its part.
ClusterRows Done(ClusterRows rows, const Plan& plan) {
  for (LaneRow& lane : rows.lanes) lane.owner = plan.owner[lane.lane];
  return rows;
}

int Moves(const ClusterRows& rows, const Plan& plan) {
  return static_cast<int>(std::ranges::count_if(
      rows.lanes, [&](const LaneRow& lane) { return lane.owner != plan.owner[lane.lane]; }));
}

TEST(Plan, SharesFreeLanesOutEvenly) {
  const Plan plan = MakePlan(Rows({""}), {"a", "b", "c"});
  EXPECT_EQ(Counts(plan), (std::map<std::string, int>{{"a", 11}, {"b", 11}, {"c", 10}}));
  EXPECT_EQ(plan.Takes("a", Rows({""})).size(), 11u);
  EXPECT_TRUE(plan.Gives("a", Rows({""})).empty());
}

TEST(Plan, ANewReplicaGetsItsShareAndNothingElseMoves) {
  const ClusterRows rows = Rows({"a", "b"});
  const Plan plan = MakePlan(rows, {"a", "b", "c"});
  EXPECT_EQ(Counts(plan)["c"], 10);
  EXPECT_EQ(Moves(rows, plan), 10);
  EXPECT_EQ(plan.Gives("a", rows).size(), 5u);
  EXPECT_EQ(plan.Gives("b", rows).size(), 5u);
  EXPECT_TRUE(plan.Takes("c", rows).empty());  // they are not free yet
}

TEST(Plan, WhoLeavesIsSharedOutAmongTheOthers) {
  const ClusterRows rows = Rows({"a", "b", "c"});
  const Plan plan = MakePlan(rows, {"a", "c"});
  EXPECT_EQ(Counts(plan), (std::map<std::string, int>{{"a", 16}, {"c", 16}}));
  EXPECT_EQ(Moves(rows, plan), 11);
  EXPECT_EQ(plan.Gives("b", rows).size(), 11u);
}

TEST(Plan, WhatWasDoneIsLeftAlone) {
  for (const std::set<std::string>& able :
       {std::set<std::string>{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "b", "c", "d", "e"}}) {
    const ClusterRows rows = Done(Rows({""}), MakePlan(Rows({""}), able));
    EXPECT_EQ(Moves(rows, MakePlan(rows, able)), 0);
  }
}

TEST(Plan, ADeadOwnersLanesAreTakenOnlyWhenTheirLeaseIsOver) {
  ClusterRows rows = Rows({"dead"});
  const Plan plan = MakePlan(rows, {"a"});
  EXPECT_TRUE(plan.Takes("a", rows).empty());
  rows.now_ms = 5000;
  EXPECT_EQ(plan.Takes("a", rows).size(), 32u);
}

TEST(Plan, WithoutReplicasNobodyOwnsAnything) {
  const ClusterRows rows = Rows({"a"});
  const Plan plan = MakePlan(rows, {});
  EXPECT_TRUE(plan.Takes("a", rows).empty());
  EXPECT_TRUE(plan.Gives("a", rows).empty());
}

TEST(Plan, MoreReplicasThanLanesLeaveSomeWithout) {
  std::set<std::string> able;
  for (int i = 0; i < 40; ++i) able.insert("r" + std::to_string(i));
  const Plan plan = MakePlan(Rows({""}), able);
  EXPECT_EQ(Counts(plan).size(), 32u);
}

}  // namespace
}  // namespace posthorn::store_service
