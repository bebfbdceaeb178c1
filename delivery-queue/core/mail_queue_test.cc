#include "delivery-queue/core/mail_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <set>

#include "delivery-queue/journal/local_journal.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/testing/run_task.h"
#include "posthorn/store/v1/mailboxes.pb.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::Entry;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;
using store::v1::DeliverReply;
using store::v1::DeliverRequest;
using store::v1::DeliveryResult;
using store::v1::ResolveReply;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// A store that remembers, as the real one does by delivery id, what it was given.
class FakeStore : public Deliverer {
 public:
  net::Task<absl::StatusOr<DeliverReply>> Deliver(DeliverRequest request) override {
    if (failures > 0) {
      --failures;
      co_return base::Unavailable("down");
    }
    DeliverReply reply;
    for (const auto& delivery : request.deliveries()) {
      order.push_back(delivery.account());
      if (lost) {
        reply.add_results()->set_outcome(DeliveryResult::NO_BLOB);
        continue;
      }
      if (!unknown.contains(delivery.account())) ++copies[{delivery.message_id(), delivery.account()}];
      reply.add_results()->set_outcome(unknown.contains(delivery.account()) ? DeliveryResult::UNKNOWN_ACCOUNT
                                                                            : DeliveryResult::DELIVERED);
    }
    co_return reply;
  }
  uint32_t PlaceOf(uint64_t account) const override {
    const auto found = places.find(account);
    return found == places.end() ? 1 : found->second;
  }
  std::map<uint64_t, uint32_t> places;
  std::map<std::pair<std::string, uint64_t>, int> copies;
  std::vector<uint64_t> order;
  std::set<uint64_t> unknown;
  bool lost = false;  // the bytes of all messages
  int failures = 0;
};

class FakeDirectory : public Directory {
 public:
  net::Task<absl::StatusOr<ResolveReply>> Resolve(std::string address) override {
    const auto found = replies.find(address);
    if (found != replies.end()) co_return found->second;
    ResolveReply unknown;
    unknown.set_kind(ResolveReply::UNKNOWN);
    co_return unknown;
  }
  void Account(const std::string& address, uint64_t account) {
    replies[address].set_kind(ResolveReply::ACCOUNT);
    replies[address].set_account(account);
  }
  void Alias(const std::string& address, const std::vector<std::string>& targets) {
    replies[address].set_kind(ResolveReply::ALIAS);
    for (const std::string& target : targets) replies[address].add_targets(target);
  }
  std::map<std::string, ResolveReply> replies;
};

class FakeRemote : public RemoteDelivery {
 public:
  void Submit(RemoteJob job) override {
    for (const int recipient : job.recipients) {
      const std::string address = job.entry->entry().recipients(recipient).address();
      attempts.push_back(address);
      RemoteOutcome outcome;
      if (!outcomes[address].empty()) {
        outcome = outcomes[address].front();
        outcomes[address].pop_front();
      }
      job.done(recipient, outcome);
    }
  }
  std::vector<std::string> attempts;
  std::map<std::string, std::deque<RemoteOutcome>> outcomes;
};

class FakeReports : public ReportWriter {
 public:
  net::Task<absl::StatusOr<std::optional<Entry>>> Write(ReportRequest request) override {
    const bool failed = request.action == ReportRequest::Action::kFailed;
    if (!failure.ok()) co_return failure;
    for (const int i : request.recipients) {
      (failed ? bounced : delayed).push_back(request.entry->entry().recipients(i).address());
      statuses.push_back(request.entry->states(i).status());
      replies.push_back(request.entry->states(i).last_reply());
    }
    Entry dsn;
    const auto parent = *base::MessageId::FromBytes(request.entry->entry().message_id());
    dsn.set_message_id(std::string(base::MessageId::Derive(parent, failed ? "dsn" : "delay").bytes()));
    dsn.mutable_blob()->set_key(99);
    dsn.set_received_ms(base::WallMillis());
    dsn.add_recipients()->set_address(request.entry->entry().sender());
    co_return std::optional<Entry>(std::move(dsn));
  }
  std::vector<std::string> bounced;
  std::vector<std::string> delayed;
  std::vector<std::string> statuses;
  std::vector<std::string> replies;
  absl::Status failure;
};

class MailQueueTest : public ::testing::Test {
 protected:
  MailQueueTest() {
    char name[] = "/tmp/posthorn-queue-XXXXXX";
    directory_path_ = mkdtemp(name);
    directory_.Account("alice@a.test", 1);
    directory_.Account("bob@a.test", 2);
    Start();
  }
  ~MailQueueTest() override {
    Stop();
    std::filesystem::remove_all(directory_path_);
  }

  void Start() {
    journal_ = *OpenLocalJournal(loop_, file::Real(), {directory_path_ + "/journal"});
    local_ = std::make_unique<LocalDelivery>(loop_, store_, journal_->id(), [this] { return queue_->Oldest(); });
    queue_ = std::make_unique<MailQueue>(
        MailQueue::Parts{loop_, *journal_, directory_, *local_, remote_, reports_,
                         [this](common::v1::Event event) { steps_.push_back(event.step()); }},
        limits_);
    ASSERT_TRUE(testing::RunTask(loop_, queue_->Recover()).ok());
  }
  void Stop() {
    queue_.reset();
    local_.reset();
    journal_.reset();
  }

  void Restart() {
    Stop();
    Start();
  }
  // On the oldest entry.
  void Act(MailQueue::Action action) {
    loop_.Spawn("test.act", [](MailQueue& queue, EntryKey key, MailQueue::Action what) -> net::Task<void> {
      EXPECT_TRUE(co_await queue.Act(key, what));
    }(*queue_, queue_->Keys(nullptr, 1).at(0), action));
  }
  void Retry() { Act(MailQueue::Action::kRetry); }
  static RemoteOutcome Later(const std::string& reply) {
    return {RemoteOutcome::Kind::kDeferred, reply, "4.3.0", "mx.far.test", true};
  }

  Entry Message(const std::string& sender, const std::vector<std::string>& recipients) {
    Entry entry;
    entry.set_message_id(std::string(base::MessageId::New().bytes()));
    entry.mutable_blob()->set_key(7);
    entry.set_sender(sender);
    entry.set_received_ms(base::WallMillis());
    for (const std::string& address : recipients) {
      auto* recipient = entry.add_recipients();
      recipient->set_address(address);
      recipient->set_remote(address.ends_with("@far.test"));
    }
    return entry;
  }
  absl::Status Accept(Entry entry) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    queue_->Accept(std::move(entry), [answer](absl::Status status) { *answer = std::move(status); });
    RunUntil([&] { return answer->has_value(); });
    return answer->value_or(base::Internal("no answer"));
  }
  void RunUntil(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::unique_ptr<net::Loop::Timer> timer;
    std::function<void()> check = [&] {
      if (done() || std::chrono::steady_clock::now() > limit) return loop_.Stop();
      timer = loop_.After(std::chrono::milliseconds(1), check);
    };
    timer = loop_.After(std::chrono::milliseconds(1), check);
    loop_.Run();
    EXPECT_TRUE(done());
  }
  void RunUntilEmpty() {
    RunUntil([this] { return queue_->counts().entries == 0; });
  }

  net::Loop loop_;
  std::string directory_path_;
  FakeStore store_;
  FakeDirectory directory_;
  FakeRemote remote_;
  FakeReports reports_;
  MailQueue::Limits limits_;
  std::vector<common::v1::Event::Step> steps_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<LocalDelivery> local_;
  std::unique_ptr<MailQueue> queue_;
};

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
  std::vector<std::string> members;
  for (uint64_t i = 100; i < 2600; ++i) {
    members.push_back(base::StrCat("m", i, "@a.test"));
    directory_.Account(members.back(), i);
  }
  directory_.Alias("list@a.test", members);
  ASSERT_TRUE(Accept(Message("x@far.test", {"list@a.test"})).ok());
  RunUntilEmpty();
  EXPECT_EQ(store_.order.size(), 2500U);
  EXPECT_EQ(store_.copies.size(), 2500U);
}

}  // namespace
}  // namespace posthorn::delivery_queue
