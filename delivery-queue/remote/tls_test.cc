// Encryption towards other hosts, with real handshakes.

#include <gmock/gmock.h>

#include <fstream>

#include "delivery-queue/remote/remote_fixture.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = RemoteOutcome::Kind;
using Handshake = SmtpSink::Handshake;
using net::TlsContext;

constexpr char kPlainLogin[] = "AUTH PLAIN AGpvAHNlY3JldA==";

class RemoteTlsTest : public RemoteTest {
 protected:
  RemoteTlsTest() {
    const auto good = TlsContext::MakeSelfSigned({"mx.far.test"}, 1).value();
    std::ofstream(dir_.File("ca.pem")) << good.chain_pem;
    sink_.tls = TlsContext::Server({good}).value();
    UseTls({TlsContext::Client(TlsContext::Verify::kNone, "").value(),
            TlsContext::Client(TlsContext::Verify::kPeer, dir_.File("ca.pem")).value()});
  }
  void UseRoute(Security security, bool verify = false, std::string user = "") {
    settings_.routes = {
        {"far.test", {{"mx.far.test", sink_.port()}}, std::move(user), "secret", security, verify}};
    delivery_->Configure(settings_);
  }
  // All connections after this one show another certificate.
  void ShowCertificateFor(const std::string& name) {
    sink_.tls = TlsContext::Server({TlsContext::MakeSelfSigned({name}, 1).value()}).value();
  }

  testing::TempDir dir_;
};

TEST_F(RemoteTlsTest, StartTlsIsUsedWhereItIsOffered) {  // [RFC3207 4], [RFC7435 3]
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  ASSERT_THAT(sink_.mails, SizeIs(1));
  EXPECT_TRUE(sink_.mails[0].tls);
  EXPECT_THAT(sink_.commands_in_clear, ::testing::ElementsAre("EHLO us.test", "STARTTLS"));
}

TEST_F(RemoteTlsTest, EveryCertificateIsGoodEnoughWhereEncryptionIsOptional) {
  ShowCertificateFor("somebody.else.test");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_TRUE(sink_.mails.at(0).tls);
}

TEST_F(RemoteTlsTest, AFailedHandshakeIsFollowedByASessionInClear) {  // [RFC7435 3]
  for (const Handshake handshake :
       {Handshake::kGarbage, Handshake::kClose, Handshake::kCloseAfter}) {
    sink_.handshake = handshake;
    sink_.mails.clear();
    const std::string recipient = base::StrCat("r", static_cast<int>(handshake), "@far.test");
    UseTls({TlsContext::Client(TlsContext::Verify::kNone, "").value(), nullptr});
    EXPECT_EQ(Send(recipient).kind, Kind::kSent) << outcomes_[recipient].reply;
    ASSERT_THAT(sink_.mails, SizeIs(1));
    EXPECT_FALSE(sink_.mails[0].tls);
  }
}

TEST_F(RemoteTlsTest, ARefusedStartTlsIsNoReasonNotToDeliver) {
  sink_.Answer("STARTTLS", "454 4.7.0 not now");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_EQ(sink_.connections, 1);
}

TEST_F(RemoteTlsTest, NoneMeansNever) {
  UseRoute(Security::kNone);
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_THAT(sink_.commands, Not(Contains("STARTTLS")));
}

TEST_F(RemoteTlsTest, RequiredEncryptionIsUsed) {
  UseRoute(Security::kRequired);
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_TRUE(sink_.mails.at(0).tls);
}

struct Obstacle {
  std::string name;
  bool offered = true;
  std::string reply;  // to STARTTLS; empty: 220
  Handshake handshake = Handshake::kGood;
  std::string status;
};

TEST_F(RemoteTlsTest, RequiredEncryptionThatFailsDefersAndNothingIsSaidInClear) {
  const std::vector<Obstacle> obstacles = {
      {"not offered", false, "", Handshake::kGood, "4.7.4"},
      {"refused", true, "454 4.7.0 not now", Handshake::kGood, "4.7.0"},
      {"refused for ever", true, "502 what?", Handshake::kGood, "4.7.4"},
      {"garbage", true, "", Handshake::kGarbage, "4.7.5"},
      {"closed", true, "", Handshake::kClose, "4.7.5"},
      {"closed after", true, "", Handshake::kCloseAfter, "4.7.5"},
  };
  const auto context = sink_.tls;
  for (const Obstacle& each : obstacles) {
    sink_.tls = each.offered ? context : nullptr;
    sink_.answers.clear();
    if (!each.reply.empty()) sink_.Answer("STARTTLS", each.reply);
    sink_.handshake = each.handshake;
    UseRoute(Security::kRequired, false, "jo");
    const RemoteOutcome outcome = Send("a@far.test");
    EXPECT_EQ(outcome.kind, Kind::kDeferred) << each.name;
    EXPECT_EQ(outcome.status, each.status) << each.name << ": " << outcome.reply;
  }
  EXPECT_THAT(sink_.mails, IsEmpty());
  EXPECT_THAT(sink_.commands_in_clear, Not(Contains(HasSubstr("MAIL"))));
  EXPECT_THAT(sink_.commands_in_clear, Not(Contains(HasSubstr("AUTH"))));
}

TEST_F(RemoteTlsTest, ImplicitTlsIsSpokenFromTheFirstByte) {  // [RFC8314 3.3]
  sink_.implicit_tls = true;
  UseRoute(Security::kImplicit, true);
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent) << outcomes_["a@far.test"].reply;
  EXPECT_TRUE(sink_.mails.at(0).tls);
  EXPECT_THAT(sink_.commands, Not(Contains("STARTTLS")));
}

TEST_F(RemoteTlsTest, ImplicitTlsWithAPlainServerDefers) {
  UseRoute(Security::kImplicit);
  EXPECT_EQ(Send("a@far.test").status, "4.7.5") << outcomes_["a@far.test"].reply;
}

TEST_F(RemoteTlsTest, ACertificateForTheHostIsAcceptedWhereOneIsDemanded) {
  for (const Security security : {Security::kOpportunistic, Security::kRequired}) {
    UseRoute(security, true);
    EXPECT_EQ(Send("a@far.test").kind, Kind::kSent) << outcomes_["a@far.test"].reply;
    EXPECT_TRUE(sink_.mails.back().tls);
  }
}

// "Optional" is no way around the demand for a good certificate.
TEST_F(RemoteTlsTest, AnotherCertificateDefersWhereAGoodOneIsDemanded) {
  ShowCertificateFor("mx.far.test");  // the right name, signed by nobody we know
  UseRoute(Security::kOpportunistic, true);
  EXPECT_EQ(Send("a@far.test").status, "4.7.5");
  EXPECT_THAT(outcomes_["a@far.test"].reply, HasSubstr("certificate"));
  EXPECT_THAT(sink_.commands_in_clear, Not(Contains(HasSubstr("MAIL"))));
}

TEST_F(RemoteTlsTest, AGoodCertificateOfAnotherHostDefersWhereOneIsDemanded) {
  resolver_.AddAddress("other.test", "127.0.0.1");
  settings_.routes = {
      {"far.test", {{"other.test", sink_.port()}}, "", "", Security::kRequired, true}};
  delivery_->Configure(settings_);
  EXPECT_EQ(Send("a@far.test").status, "4.7.5");
  EXPECT_THAT(sink_.mails, IsEmpty());
}

TEST_F(RemoteTlsTest, ARouteLogsInOnlyAfterTheHandshake) {  // [RFC4954 4], [RFC4616 2]
  sink_.offers = {"AUTH LOGIN PLAIN"};
  sink_.Answer("AUTH PLAIN", "235 2.7.0 welcome");
  UseRoute(Security::kOpportunistic, false, "jo");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent) << outcomes_["a@far.test"].reply;
  EXPECT_THAT(sink_.commands, Contains(kPlainLogin));
  EXPECT_THAT(sink_.commands_in_clear, Not(Contains(HasSubstr("AUTH"))));
}

TEST_F(RemoteTlsTest, LoginIsUsedWherePlainIsNotOffered) {
  sink_.offers = {"AUTH LOGIN"};
  sink_.Answer("AUTH LOGIN", "334 VXNlcm5hbWU6");
  sink_.Answer("am8=", "334 UGFzc3dvcmQ6");
  sink_.Answer("c2VjcmV0", "235 2.7.0 welcome");
  UseRoute(Security::kRequired, false, "jo");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent) << outcomes_["a@far.test"].reply;
  EXPECT_THAT(sink_.commands, Contains("c2VjcmV0"));
}

TEST_F(RemoteTlsTest, LoginFollowsWherePlainIsNotAvailableAfterAll) {  // [RFC4954 6]
  sink_.offers = {"AUTH PLAIN LOGIN"};
  sink_.Answer("AUTH PLAIN", "504 5.5.4 no");
  sink_.Answer("AUTH LOGIN", "334 VXNlcm5hbWU6");
  sink_.Answer("am8=", "334 UGFzc3dvcmQ6");
  sink_.Answer("c2VjcmV0", "235 2.7.0 welcome");
  UseRoute(Security::kRequired, false, "jo");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent) << outcomes_["a@far.test"].reply;
}

TEST_F(RemoteTlsTest, ARefusedLoginDefersAndNeverReturnsMail) {
  sink_.offers = {"AUTH PLAIN LOGIN"};
  sink_.Answer("AUTH PLAIN", "535 5.7.8 wrong password");
  UseRoute(Security::kRequired, false, "jo");
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_EQ(outcome.reply, "535 5.7.8 wrong password");
  EXPECT_THAT(sink_.mails, IsEmpty());
}

TEST_F(RemoteTlsTest, WithALoginAFailedHandshakeIsNotFollowedByClearText) {
  sink_.offers = {"AUTH PLAIN"};
  sink_.handshake = Handshake::kClose;
  UseRoute(Security::kOpportunistic, false, "jo");
  EXPECT_EQ(Send("a@far.test").status, "4.7.5");
  EXPECT_EQ(sink_.connections, 1);
}

}  // namespace
}  // namespace posthorn::delivery_queue
