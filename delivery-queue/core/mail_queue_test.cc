#include "delivery-queue/core/mail_queue_fixture.h"

#include <gmock/gmock.h>

namespace posthorn::delivery_queue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(MailQueueTest, EachRecipientGetsOneCopyThoughAliasesOverlap) {
  directory_.Alias("team@a.test", {"alice@a.test", "bob@a.test", "team@a.test"});
  const Entry entry = Message("x@far.test", {"team@a.test", "bob@a.test"});
  ASSERT_TRUE(Accept(entry).ok());
  RunUntilEmpty();
  EXPECT_THAT(store_.order, UnorderedElementsAre(1, 2));
  EXPECT_TRUE(reports_.bounced.empty());
}

TEST_F(MailQueueTest, TheSameMessageIdIsAcceptedOnce) {
  const Entry entry = Message("x@far.test", {"slow@far.test"});
  ASSERT_TRUE(Accept(entry).ok());
  RunUntil([&] { return remote_.attempts.size() == 1; });
  EXPECT_TRUE(Accept(entry).ok());
  EXPECT_EQ(queue_->counts().entries, 1U);
}

TEST_F(MailQueueTest, OldBlobsAreRefused) {
  Entry entry = Message("x@far.test", {"alice@a.test"});
  entry.set_received_ms(base::WallMillis() - 11 * 60 * 1000);
  EXPECT_EQ(Accept(entry).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MailQueueTest, AStoreThatIsAwayOnlyDelays) {
  store_.failures = 2;
  ASSERT_TRUE(Accept(Message("x@far.test", {"alice@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_THAT(store_.order, ElementsAre(1));
}

// A store that was put right has it again; a sender without an address would never hear of it.
TEST_F(MailQueueTest, AMessageWhoseBytesAreMissingWaitsAndIsDeliveredWhenTheyAreBack) {
  limits_.retry.waits_seconds = {3600};
  Restart();
  store_.lost = true;
  ASSERT_TRUE(Accept(Message("", {"alice@a.test"})).ok());
  RunUntil([&] { return store_.order.size() == 1 && queue_->counts().active == 0; });
  EXPECT_EQ(queue_->counts().recipients_deferred, 1U);
  EXPECT_THAT(store_.copies, IsEmpty());
  store_.lost = false;
  Restart();
  Retry();
  RunUntilEmpty();
  EXPECT_EQ(store_.copies.size(), 1U);
}

TEST_F(MailQueueTest, AMessageWhoseBytesStayMissingComesBackToItsSender) {
  limits_.retry.lifetime_seconds = 0;
  Restart();
  store_.lost = true;
  ASSERT_TRUE(Accept(Message("x@far.test", {"alice@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_THAT(reports_.bounced, ElementsAre("alice@a.test"));
  EXPECT_THAT(reports_.replies, ElementsAre(HasSubstr("cannot be found")));
}

TEST_F(MailQueueTest, UnknownRecipientsBounceAndTheBounceIsDelivered) {
  ASSERT_TRUE(Accept(Message("bob@a.test", {"alice@a.test", "nobody@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_THAT(reports_.bounced, ElementsAre("nobody@a.test"));
  EXPECT_THAT(store_.order, ElementsAre(1, 2));
}

TEST_F(MailQueueTest, ABounceOfABounceIsDropped) {
  ASSERT_TRUE(Accept(Message("", {"nobody@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_TRUE(reports_.bounced.empty());
}

TEST_F(MailQueueTest, DeferredMailSurvivesARestartAndIsTriedAgain) {
  remote_.outcomes["a@far.test"] = {Later("451 later"),
                                    {RemoteOutcome::Kind::kSent, "250 ok", "2.0.0", "mx.far.test", true}};
  limits_.retry.waits_seconds = {3600};
  Stop();
  Start();
  ASSERT_TRUE(Accept(Message("x@a.test", {"a@far.test"})).ok());
  RunUntil([&] { return queue_->counts().entries == 1 && queue_->counts().active == 0; });
  Stop();
  Start();
  EXPECT_EQ(queue_->counts().entries, 1U);
  Retry();
  RunUntilEmpty();
  EXPECT_THAT(remote_.attempts, ElementsAre("a@far.test", "a@far.test"));
}

TEST_F(MailQueueTest, ExpiredMailComesBackToItsSender) {
  limits_.retry.lifetime_seconds = 0;
  Stop();
  Start();
  remote_.outcomes["a@far.test"] = {Later("451 4.2.0 greylisted")};
  ASSERT_TRUE(Accept(Message("alice@a.test", {"a@far.test"})).ok());
  RunUntilEmpty();
  EXPECT_THAT(reports_.bounced, ElementsAre("a@far.test"));
  EXPECT_THAT(reports_.statuses, ElementsAre("4.4.7"));  // [RFC3463 3.5]
  EXPECT_THAT(reports_.replies, ElementsAre("451 4.2.0 greylisted"));
  EXPECT_THAT(store_.order, ElementsAre(1));
}

// The sender hears of it when the time has come, though the next attempt is an hour away, once.
TEST_F(MailQueueTest, TheSenderIsToldOfADelayOnce) {  // [RFC3461 4.1]
  limits_.retry.waits_seconds = {3600};
  limits_.retry.delay_notice_seconds = 1;
  Restart();
  remote_.outcomes["a@far.test"] = {Later("451 one"), Later("451 two"), Later("451 three")};
  ASSERT_TRUE(Accept(Message("alice@a.test", {"a@far.test", "bob@a.test"})).ok());
  RunUntil([&] { return remote_.attempts.size() == 1 && queue_->counts().active == 0; });
  EXPECT_THAT(reports_.delayed, IsEmpty());
  RunUntil([&] { return reports_.delayed.size() == 1 && queue_->counts().entries == 1; });
  EXPECT_THAT(store_.order, UnorderedElementsAre(2, 1));  // bob, and alice the notice
  EXPECT_THAT(remote_.attempts, ElementsAre("a@far.test"));
  Retry();
  RunUntil([&] { return remote_.attempts.size() == 2 && queue_->counts().active == 0; });
  Restart();
  Retry();
  RunUntil([&] { return remote_.attempts.size() == 3 && queue_->counts().active == 0; });
  EXPECT_THAT(reports_.delayed, ElementsAre("a@far.test"));
}

TEST_F(MailQueueTest, ANoticeThatCannotBeWrittenHoldsNothingUp) {
  limits_.retry.waits_seconds = {3600};
  limits_.retry.delay_notice_seconds = 60;
  Restart();
  reports_.failure = base::Unavailable("store away");
  Entry entry = Message("alice@a.test", {"a@far.test"});
  entry.set_received_ms(base::WallMillis() - 120'000);
  ASSERT_TRUE(Accept(std::move(entry)).ok());
  RunUntil([&] { return remote_.attempts.size() == 1 && queue_->counts().active == 0; });
  reports_.failure = absl::OkStatus();
  Retry();
  RunUntil([&] { return reports_.delayed.size() == 1; });
  EXPECT_THAT(remote_.attempts, ElementsAre("a@far.test", "a@far.test"));
}

TEST_F(MailQueueTest, NobodyIsToldOfADelayOfAReport) {
  limits_.retry.waits_seconds = {3600};
  limits_.retry.delay_notice_seconds = 60;
  Restart();
  Entry entry = Message("", {"a@far.test"});
  entry.set_received_ms(base::WallMillis() - 120'000);
  ASSERT_TRUE(Accept(std::move(entry)).ok());
  RunUntil([&] { return remote_.attempts.size() == 1 && queue_->counts().active == 0; });
  EXPECT_THAT(reports_.delayed, IsEmpty());
}

TEST_F(MailQueueTest, RecipientsAreCountedByWhatTheyWaitFor) {
  limits_.retry.waits_seconds = {3600};
  Restart();
  ASSERT_TRUE(Accept(Message("x@a.test", {"a@far.test", "b@far.test", "bob@a.test"})).ok());
  ASSERT_TRUE(Accept(Message("x@a.test", {"c@far.test"})).ok());
  const auto settled = [&] { return queue_->counts().active == 0; };
  RunUntil(settled);
  EXPECT_EQ(queue_->counts().entries, 2U);
  EXPECT_EQ(queue_->counts().recipients_deferred, 3U);
  EXPECT_EQ(queue_->counts().recipients_ready, 0U);
  Restart();
  EXPECT_EQ(queue_->counts().recipients_deferred, 3U);
  Act(MailQueue::Action::kHold);
  RunUntil([&] { return queue_->counts().held == 1 && settled(); });
  EXPECT_EQ(queue_->counts().recipients_deferred, 1U);
  store_.failures = 1000;  // whoever is local waits with the store
  ASSERT_TRUE(Accept(Message("x@a.test", {"alice@a.test", "bob@a.test"})).ok());
  EXPECT_EQ(queue_->counts().recipients_ready, 2U);
  EXPECT_EQ(queue_->counts().entries, 3U);
}

TEST_F(MailQueueTest, MailForAListWithoutMembersIsDone) {
  directory_.Alias("empty@a.test", {});
  ASSERT_TRUE(Accept(Message("x@far.test", {"empty@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_TRUE(store_.order.empty());
  EXPECT_TRUE(remote_.attempts.empty());
}

TEST_F(MailQueueTest, ALargeListReachesEveryMemberOnce) {
  MakeList("list@a.test", 2500);
  ASSERT_TRUE(Accept(Message("x@far.test", {"list@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_EQ(store_.order.size(), 2500U);
  EXPECT_EQ(store_.copies.size(), 2500U);
}

}  // namespace
}  // namespace posthorn::delivery_queue
