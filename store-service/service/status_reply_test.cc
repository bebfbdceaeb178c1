#include "store-service/service/status_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store-service/service/meeting.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

ClusterRows TwoStores() {
  ClusterRows rows;
  rows.now_ms = 100'000;
  rows.replicas = {
      {.name = "a", .address = "a:7001", .version = "1", .seen_ms = 99'500, .started_ms = 7},
      {.name = "b",
       .address = "b:7001",
       .version = "2",
       .state = ReplicaRow::State::kDraining,
       .seen_ms = 88'000}};
  rows.lanes = {{0, "a", 1, 0, 106'000}, {1, "a", 1, 0, 103'000}, {2, "b", 1, 0, 94'000}};
  return rows;
}

TEST(StoreStatus, TellsLanesAndLeasesOfEachReplica) {
  v1::StoreStatusReply reply;
  DescribeReplicas(TwoStores(), [](const std::string&) { return true; }, reply);
  ASSERT_EQ(reply.replicas_size(), 2);
  EXPECT_EQ(reply.replicas(0).lanes(), 2u);
  EXPECT_EQ(reply.replicas(0).lease_left_ms(), 3000);
  EXPECT_EQ(reply.replicas(0).silent_ms(), 500u);
  EXPECT_EQ(reply.replicas(0).started_ms(), 7);
  EXPECT_FALSE(reply.replicas(0).draining());
  EXPECT_TRUE(reply.replicas(1).draining());
  EXPECT_EQ(reply.replicas(1).lease_left_ms(), -6000);
  EXPECT_EQ(reply.lanes(), 3u);
  EXPECT_THAT(reply.ownerless(), IsEmpty());
  EXPECT_THAT(reply.problems(), IsEmpty());
}

TEST(StoreStatus, NamesWhoIsSilentAndCountsLanesWithoutAStore) {
  ClusterRows rows = TwoStores();
  rows.lanes[0].owner.clear();
  v1::StoreStatusReply reply;
  DescribeReplicas(rows, [](const std::string& name) { return name == "a"; }, reply);
  EXPECT_THAT(reply.ownerless(), ElementsAre(0, 2));
  EXPECT_THAT(reply.problems(),
              ElementsAre("the store b at b:7001 has said nothing for 12 s",
                          "2 of 3 lanes have no store: their accounts' mail waits"));
}

TEST(StoreStatus, SaysWhenMessageFilesHaveNoRoomOrCannotBeReached) {
  v1::StoreStatusReply reply;
  DescribeBlobs({.kind = "folder", .place = "/b", .free_bytes = 20, .size_bytes = 100}, reply);
  EXPECT_THAT(reply.problems(), IsEmpty());
  EXPECT_EQ(reply.blobs().free_bytes(), 20u);
  DescribeBlobs({.kind = "folder",
                 .place = "/b",
                 .free_bytes = uint64_t{40} << 20,
                 .size_bytes = uint64_t{1000} << 20},
                reply);
  DescribeBlobs({.kind = "bucket", .place = "s3://b/ at http://h", .unreachable = "403"}, reply);
  EXPECT_FALSE(reply.blobs().unreachable().empty());
  EXPECT_THAT(
      reply.problems(),
      ElementsAre("the disk of message files, /b, is nearly full: 4 % (40 MiB) left",
                  "the bucket of message files, s3://b/ at http://h, cannot be reached: 403"));
}

v1::MeetRequest Word(std::string instance, std::string word) {
  v1::MeetRequest request;
  request.set_instance(std::move(instance));
  request.set_word(std::move(word));
  return request;
}

TEST(Meeting, EachHearsTheNewestWordOfAllOthers) {
  Meeting meeting;
  EXPECT_EQ(meeting.Take(Word("a/1", "one"), 1000).met_size(), 0);
  const v1::MeetReply b = meeting.Take(Word("b/1", "two"), 3000);
  ASSERT_EQ(b.met_size(), 1);
  EXPECT_EQ(b.met(0).instance(), "a/1");
  EXPECT_EQ(b.met(0).word(), "one");
  EXPECT_EQ(b.met(0).age_ms(), 2000u);
  EXPECT_EQ(meeting.Take(Word("a/1", "three"), 4000).met(0).word(), "two");
  EXPECT_EQ(meeting.Take(Word("b/1", "two"), 4000).met(0).word(), "three");
  EXPECT_EQ(meeting.Take(Word("c/1", ""), 4000 + Meeting::kForgottenMs).met_size(), 2);
  EXPECT_EQ(meeting.Take(Word("c/1", ""), 4001 + Meeting::kForgottenMs).met_size(), 0);
}

TEST(Meeting, IsBounded) {
  Meeting meeting;
  for (size_t i = 0; i < Meeting::kMost + 10; ++i)
    (void)meeting.Take(Word(std::to_string(i), "x"), 1);
  EXPECT_EQ(meeting.Take(Word("0", "x"), 1).met_size(), static_cast<int>(Meeting::kMost) - 1);
}

}  // namespace
}  // namespace posthorn::store_service
