#include "lib/cluster/lane_map.h"

#include <gtest/gtest.h>

#include "posthorn/store/v1/cluster.pb.h"

namespace posthorn::cluster {
namespace {

using posthorn::store::v1::ClusterMap;

// Lane l belongs to replica `owners[l % owners.size()]`; -1: to nobody.
ClusterMap Map(const std::vector<std::string>& replicas, const std::vector<int>& owners,
               uint64_t epoch) {
  ClusterMap map;
  for (const std::string& name : replicas) {
    map.add_replicas()->set_name(name);
    map.mutable_replicas()->rbegin()->set_address(name + ":7001");
  }
  for (size_t i = 0; i < base::kLanes; ++i) {
    ClusterMap::Lane& lane = *map.add_lanes();
    lane.set_epoch(epoch);
    const int owner = owners[i % owners.size()];
    if (owner >= 0) lane.set_owner(static_cast<uint32_t>(owner));
  }
  return map;
}

TEST(LaneMap, FindsTheOwnerOfAnAccount) {
  LaneMap map("imap-gateway");
  EXPECT_FALSE(map.known());
  EXPECT_EQ(map.OwnerOf(1), 0u);
  EXPECT_TRUE(map.Take(Map({"a", "b"}, {0, 1}, 1)));
  EXPECT_EQ(map.replicas()[map.OwnerOf(32) - 1].target, "a:7001");
  EXPECT_EQ(map.replicas()[map.OwnerOf(33) - 1].target, "b:7001");
  EXPECT_FALSE(map.Take(Map({"a", "b"}, {0, 1}, 1)));
}

TEST(LaneMap, OlderWordsAboutALaneDoNotCount) {
  LaneMap map("imap-gateway");
  map.Take(Map({"a", "b"}, {0}, 5));
  EXPECT_FALSE(map.Take(Map({"a", "b"}, {1}, 4)));
  EXPECT_EQ(map.replicas()[map.OwnerOf(1) - 1].name, "a");
  EXPECT_TRUE(map.Take(Map({"a", "b"}, {1}, 6)));
  EXPECT_EQ(map.replicas()[map.OwnerOf(1) - 1].name, "b");
}

// The owner let go: epoch as before, nobody there.
TEST(LaneMap, AReleasedLaneHasNoOwner) {
  LaneMap map("imap-gateway");
  map.Take(Map({"a"}, {0}, 5));
  EXPECT_TRUE(map.Take(Map({"a"}, {-1}, 5)));
  EXPECT_EQ(map.OwnerOf(1), 0u);
}

TEST(LaneMap, PlacesStayWithTheirReplica) {
  LaneMap map("imap-gateway");
  map.Take(Map({"a", "b"}, {0, 1}, 1));
  const Place b = map.OwnerOf(1);
  EXPECT_TRUE(map.Take(Map({"b"}, {0}, 2)));
  EXPECT_EQ(map.OwnerOf(1), b);
  EXPECT_EQ(map.OwnerOf(2), b);
  EXPECT_FALSE(map.replicas()[0].alive);
  EXPECT_EQ(map.Able(), std::vector<Place>{b});
  // Back under the same name at another address: another place.
  ClusterMap moved = Map({"a", "b"}, {0}, 3);
  moved.mutable_replicas(0)->set_address("elsewhere:1");
  map.Take(moved);
  EXPECT_EQ(map.OwnerOf(1), 3u);
}

TEST(LaneMap, WhoDrainsIsAskedOnlyWhenThereIsNoOther) {
  LaneMap map("imap-gateway");
  ClusterMap draining = Map({"a", "b"}, {0, 1}, 1);
  draining.mutable_replicas(0)->set_draining(true);
  map.Take(draining);
  EXPECT_EQ(map.Able(), std::vector<Place>{2});
  draining.mutable_replicas(1)->set_draining(true);
  map.Take(draining);
  EXPECT_EQ(map.Able(), (std::vector<Place>{1, 2}));
}

TEST(LaneMap, EachCallerHasItsOwnSocket) {
  LaneMap map("imap-gateway");
  ClusterMap local = Map({"a"}, {0}, 1);
  local.mutable_replicas(0)->set_address("unix:/run/store.{caller}/sock");
  map.Take(local);
  EXPECT_EQ(map.replicas()[0].target, "unix:/run/store.imap-gateway/sock");
}

TEST(LaneMap, AMapWithoutAllLanesIsNotTaken) {
  LaneMap map("imap-gateway");
  EXPECT_FALSE(map.Take(ClusterMap()));
  EXPECT_FALSE(map.known());
}

}  // namespace
}  // namespace posthorn::cluster
