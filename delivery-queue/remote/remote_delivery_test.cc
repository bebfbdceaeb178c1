#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery-queue/remote/smtp_delivery.h"
#include "delivery-queue/remote/smtp_sink.h"
#include "lib/base/ids.h"
#include "lib/net/tls_context.h"
#include "lib/testing/fake_resolver.h"
#include "lib/testing/run_task.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::StoredEntry;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = RemoteOutcome::Kind;

// Bodies in memory, handed out in small chunks.
class FakeBodies : public Bodies {
 public:
  std::unique_ptr<BodyStream> Open(uint64_t, uint64_t) override {
    return std::make_unique<Stream>(*this);
  }
  std::string body = "Subject: hello\r\n\r\n.dot\r\nbody\r\n";
  absl::Status failure;  // after `good` chunks
  size_t good = 0;

 private:
  class Stream : public BodyStream {
   public:
    explicit Stream(FakeBodies& bodies) : bodies_(bodies) {}
    net::Task<absl::StatusOr<std::string>> Next() override {
      if (!bodies_.failure.ok() && chunks_++ >= bodies_.good) co_return bodies_.failure;
      std::string chunk = bodies_.body.substr(std::min(at_, bodies_.body.size()), 7);
      at_ += chunk.size();
      co_return chunk;
    }

   private:
    FakeBodies& bodies_;
    size_t at_ = 0;
    size_t chunks_ = 0;
  };
};

class RemoteDeliveryTest : public ::testing::Test {
 protected:
  RemoteDeliveryTest() : sink_(loop_) {
    delivery_ = std::make_unique<SmtpDelivery>(
        loop_, resolver_, bodies_,
        net::TlsContext::Client(net::TlsContext::Verify::kNone, "").value());
    settings_.hostname = "us.test";
    settings_.port = sink_.port();
    delivery_->Configure(settings_);
    resolver_.AddMx("far.test", 10, "mx.far.test");
    resolver_.AddAddress("mx.far.test", "127.0.0.1");
  }

  std::shared_ptr<StoredEntry> Message(const std::vector<std::string>& recipients) {
    auto stored = std::make_shared<StoredEntry>();
    auto* entry = stored->mutable_entry();
    entry->set_message_id(std::string(base::MessageId::New().bytes()));
    entry->set_sender("jo@us.test");
    entry->set_prefix("Received: by us\r\n");
    entry->mutable_blob()->set_key(1);
    entry->mutable_blob()->set_size(bodies_.body.size());
    for (const std::string& recipient : recipients) entry->add_recipients()->set_address(recipient);
    return stored;
  }
  // All recipients, by their domains.
  void Submit(const std::shared_ptr<StoredEntry>& entry) {
    std::map<std::string, std::vector<int>> domains;
    for (int i = 0; i < entry->entry().recipients_size(); ++i) {
      const std::string& address = entry->entry().recipients(i).address();
      domains[address.substr(address.find('@') + 1)].push_back(i);
      ++submitted_;
    }
    for (const auto& [domain, indexes] : domains) {
      delivery_->Submit({entry, indexes, domain, [this, entry](int index, RemoteOutcome outcome) {
                           outcomes_[entry->entry().recipients(index).address()] =
                               std::move(outcome);
                           ++answered_;
                         }});
    }
  }
  void Run() {
    testing::RunTask(loop_, [](net::Loop& loop, int& submitted, int& answered) -> net::Task<void> {
      while (answered < submitted) co_await net::Sleep(loop, std::chrono::milliseconds(1));
    }(loop_, submitted_, answered_));
    EXPECT_EQ(answered_, submitted_);
  }
  RemoteOutcome Send(const std::string& recipient) {
    Submit(Message({recipient}));
    Run();
    return outcomes_[recipient];
  }

  net::Loop loop_;
  testing::FakeResolver resolver_;
  FakeBodies bodies_;
  SmtpSink sink_;
  RemoteSettings settings_;
  std::unique_ptr<SmtpDelivery> delivery_;
  std::map<std::string, RemoteOutcome> outcomes_;
  int submitted_ = 0;
  int answered_ = 0;
};

TEST_F(RemoteDeliveryTest, AMessageArrivesWithItsTraceFieldsAndDoubledDots) {
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kSent) << outcome.reply;
  EXPECT_EQ(outcome.host, "mx.far.test");
  EXPECT_EQ(outcome.reply, "250 2.0.0 ok");
  ASSERT_THAT(sink_.mails, SizeIs(1));
  EXPECT_EQ(sink_.mails[0].data, "Received: by us\r\nSubject: hello\r\n\r\n..dot\r\nbody\r\n");
  EXPECT_THAT(sink_.mails[0].from, HasSubstr("MAIL FROM:<jo@us.test> SIZE="));
}

TEST_F(RemoteDeliveryTest, RecipientsOfOneMessageShareOneTransaction) {
  Submit(Message({"a@far.test", "b@far.test", "c@far.test"}));
  Run();
  ASSERT_THAT(sink_.mails, SizeIs(1));
  EXPECT_THAT(sink_.mails[0].to,
              ElementsAre("RCPT TO:<a@far.test>", "RCPT TO:<b@far.test>", "RCPT TO:<c@far.test>"));
}

TEST_F(RemoteDeliveryTest, MoreThanAHundredRecipientsAreSplit) {
  std::vector<std::string> recipients;
  for (int i = 0; i < 250; ++i) recipients.push_back(base::StrCat("r", i, "@far.test"));
  Submit(Message(recipients));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(3));
}

TEST_F(RemoteDeliveryTest, DomainsBehindOneSmarthostShareOneTransaction) {
  settings_.routes = {{"*", {{"127.0.0.1", sink_.port()}}, "", "", Security::kOpportunistic}};
  delivery_->Configure(settings_);
  Submit(Message({"a@x.test", "b@y.test"}));
  Run();
  ASSERT_THAT(sink_.mails, SizeIs(1));
  EXPECT_THAT(sink_.mails[0].to, SizeIs(2));
}

TEST_F(RemoteDeliveryTest, ConnectionsAreUsedAgain) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_EQ(sink_.connections, 1);
}

TEST_F(RemoteDeliveryTest, ManyMessagesUseSeveralConnectionsButNotMoreThanTwenty) {
  for (int i = 0; i < 300; ++i) Submit(Message({base::StrCat("r", i, "@far.test")}));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(300));
  EXPECT_GE(sink_.most_open, 5);
  EXPECT_LE(sink_.most_open, 20);
}

TEST_F(RemoteDeliveryTest, EachRecipientGetsItsOwnReply) {
  sink_.Answer("RCPT TO:<bad@", "550 5.1.1 no such user");
  sink_.Answer("RCPT TO:<later@", "451 4.2.0 greylisted");
  Submit(Message({"good@far.test", "bad@far.test", "later@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["good@far.test"].kind, Kind::kSent);
  EXPECT_EQ(outcomes_["bad@far.test"].kind, Kind::kFailed);
  EXPECT_EQ(outcomes_["bad@far.test"].status, "5.1.1");
  EXPECT_EQ(outcomes_["bad@far.test"].reply, "550 5.1.1 no such user");
  EXPECT_EQ(outcomes_["later@far.test"].kind, Kind::kDeferred);
}

TEST_F(RemoteDeliveryTest, WithoutPipeliningTheOutcomesAreTheSame) {
  sink_.offers = {};
  sink_.Answer("RCPT TO:<bad@", "550 no such user");
  Submit(Message({"good@far.test", "bad@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["good@far.test"].kind, Kind::kSent);
  EXPECT_EQ(outcomes_["bad@far.test"].kind, Kind::kFailed);
  EXPECT_EQ(outcomes_["bad@far.test"].status, "5.0.0");
  EXPECT_THAT(sink_.mails[0].from, Not(HasSubstr("SIZE")));
}

TEST_F(RemoteDeliveryTest, ALostConnectionAfterTheMessageDefers) {
  sink_.Answer(".", "");
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_EQ(outcome.status, "4.4.2");
}

TEST_F(RemoteDeliveryTest, ALostConnectionAtRcptDoesNotCountAsDelivered) {
  sink_.Answer("RCPT TO:<b@", "");
  Submit(Message({"a@far.test", "b@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["a@far.test"].kind, Kind::kDeferred);
  EXPECT_EQ(outcomes_["b@far.test"].kind, Kind::kDeferred);
}

TEST_F(RemoteDeliveryTest, ARefusalAfterDataIsFinal) {
  sink_.Answer(".", "554 5.7.1 spam");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kFailed);
}

TEST_F(RemoteDeliveryTest, AConnectionThatDiedIdleCostsNoAttempt) {
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  sink_.hang_up_on = 1;
  Submit(Message({"b@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["b@far.test"].kind, Kind::kSent) << outcomes_["b@far.test"].reply;
}

TEST_F(RemoteDeliveryTest, ABodyThatCannotBeReadDefersAndIsNeverEndedWithADot) {
  bodies_.failure = base::Unavailable("store away");
  bodies_.good = 2;
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_EQ(outcome.status, "4.3.0");
  EXPECT_THAT(sink_.mails, IsEmpty());
}

TEST_F(RemoteDeliveryTest, TheNextHostIsTriedWhenTheFirstCannotBeReached) {
  resolver_.AddMx("two.test", 10, "dead.two.test");
  resolver_.AddMx("two.test", 20, "mx.far.test");
  resolver_.AddAddress("dead.two.test", "127.0.0.77");
  EXPECT_EQ(Send("a@two.test").kind, Kind::kSent);
}

TEST_F(RemoteDeliveryTest, AGreetingOf5xxNeverReturnsMail) {
  sink_.greeting = "554 no service";
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_EQ(outcome.status, "4.3.2");
}

TEST_F(RemoteDeliveryTest, ADeadNextHopIsLeftAloneForAWhile) {
  resolver_.AddAddress("dead.test", "127.0.0.77");
  EXPECT_EQ(Send("a@dead.test").status, "4.4.1");
  resolver_.ForgetAsked();
  EXPECT_EQ(Send("b@dead.test").status, "4.4.1");
  EXPECT_THAT(resolver_.asked(), IsEmpty());
}

TEST_F(RemoteDeliveryTest, UnknownDomainsFailAtOnce) {
  const RemoteOutcome outcome = Send("a@nowhere.test");
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.status, "5.1.2");
}

TEST_F(RemoteDeliveryTest, MessagesAboveTheHostsSizeLimitFail) {  // [RFC1870 6.1]
  sink_.offers = {"SIZE 10"};
  EXPECT_EQ(Send("a@far.test").status, "5.3.4");
  EXPECT_THAT(sink_.commands, Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RemoteDeliveryTest, SmtpUtf8IsNeededWhereTheMessageSaysSo) {  // [RFC6531 3.7.4]
  auto entry = Message({"a@far.test"});
  entry->mutable_entry()->set_smtputf8(true);
  Submit(entry);
  Run();
  EXPECT_EQ(outcomes_["a@far.test"].status, "5.6.7");
}

TEST_F(RemoteDeliveryTest, APasswordIsNotSentInClearUnlessTheRouteSaysSo) {
  sink_.offers = {"AUTH PLAIN LOGIN"};
  settings_.routes = {{"far.test", {{"127.0.0.1", 0}}, "jo", "secret", Security::kOpportunistic}};
  delivery_->Configure(settings_);
  EXPECT_EQ(Send("a@far.test").status, "4.7.0");
  EXPECT_THAT(sink_.commands, Not(Contains(HasSubstr("AUTH"))));
}

TEST_F(RemoteDeliveryTest, ARouteLogsIn) {  // [RFC4616 2]
  sink_.offers = {"AUTH PLAIN LOGIN"};
  sink_.Answer("AUTH PLAIN", "235 2.7.0 welcome");
  settings_.routes = {{"far.test", {{"127.0.0.1", 0}}, "jo", "secret", Security::kNone}};
  delivery_->Configure(settings_);
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_THAT(sink_.commands, Contains("AUTH PLAIN AGpvAHNlY3JldA=="));
}

TEST_F(RemoteDeliveryTest, TooManyRecipientsFollowInASecondTransaction) {  // [RFC5321 4.5.3.1.10]
  sink_.Answer("RCPT TO:<b@", "452 4.5.3 too many recipients");
  Submit(Message({"a@far.test", "b@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["a@far.test"].kind, Kind::kSent);
  EXPECT_EQ(outcomes_["b@far.test"].kind, Kind::kDeferred);
  EXPECT_THAT(sink_.mails, SizeIs(1));
}

}  // namespace
}  // namespace posthorn::delivery_queue
