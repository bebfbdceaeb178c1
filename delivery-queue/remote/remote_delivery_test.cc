#include <gmock/gmock.h>

#include "delivery-queue/remote/remote_fixture.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = RemoteOutcome::Kind;

class RemoteDeliveryTest : public RemoteTest {};

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

TEST_F(RemoteDeliveryTest, AHostThatGreetsAsWeDoIsALoop) {  // [RFC5321 5.1]
  settings_.hostname = "SINK.test";
  delivery_->Configure(settings_);
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kFailed);
  EXPECT_EQ(outcome.status, "5.4.6");
  EXPECT_FALSE(outcome.replied);
  // A route is the operator's word.
  settings_.routes = {{"far.test", {{"127.0.0.1", 0}}, "", "", Security::kNone}};
  delivery_->Configure(settings_);
  EXPECT_EQ(Send("b@far.test").kind, Kind::kSent);
}

TEST_F(RemoteDeliveryTest, MachinesThatNobodyNamedMayShareTheirNames) {
  for (const char* name : {"localhost", "localhost.localdomain", "debian.localdomain"}) {
    settings_.hostname = sink_.name = name;
    delivery_->Configure(settings_);
    EXPECT_EQ(Send(base::StrCat("a@", "far.test")).kind, Kind::kSent) << name;
  }
}

TEST_F(RemoteDeliveryTest, AddressLiteralsAreConnectedToAsTheyStand) {  // [RFC5321 4.1.3, 5.1]
  EXPECT_EQ(Send("a@[127.0.0.1]").kind, Kind::kSent);
  EXPECT_EQ(Send("a@[IPv6:::ffff:127.0.0.1]").kind, Kind::kSent);
  EXPECT_THAT(resolver_.asked(), IsEmpty());
  EXPECT_EQ(Send("a@[127.0.0.300]").status, "5.1.2");
  EXPECT_EQ(Send("a@[IPv6:mx.far.test]").status, "5.1.2");
}

// What was accepted before the 421 was accepted for a message that never came.
TEST_F(RemoteDeliveryTest, A421InTheMiddleDefersAllButTheRefused) {  // [RFC5321 3.8]
  for (const bool pipelining : {true, false}) {
    sink_.offers = pipelining ? std::vector<std::string>{"PIPELINING"} : std::vector<std::string>{};
    sink_.Answer("RCPT TO:<bad@", "550 5.1.1 no");
    sink_.Answer("RCPT TO:<c@", "421 4.3.2 going down");
    UseTls({net::TlsContext::Client(net::TlsContext::Verify::kNone, "").value(), nullptr});
    Submit(Message({"a@far.test", "bad@far.test", "c@far.test", "d@far.test"}));
    Run();
    EXPECT_EQ(outcomes_["bad@far.test"].kind, Kind::kFailed);
    for (const char* address : {"a@far.test", "c@far.test", "d@far.test"}) {
      EXPECT_EQ(outcomes_[address].kind, Kind::kDeferred) << address;
      EXPECT_EQ(outcomes_[address].status, "4.3.2") << address;
    }
    EXPECT_THAT(sink_.mails, IsEmpty());
  }
}

TEST_F(RemoteDeliveryTest, AHostThatNeverAnswersIsLeftAfterTheLimit) {
  settings_.patience.command = std::chrono::milliseconds(20);
  delivery_->Configure(settings_);
  sink_.silent_at = "MAIL";
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_EQ(outcome.status, "4.4.2");
  EXPECT_FALSE(outcome.replied);
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
