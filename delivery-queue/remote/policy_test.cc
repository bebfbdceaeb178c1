#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery-queue/remote/mail_hosts.h"
#include "delivery-queue/remote/next_hop.h"
#include "delivery-queue/remote/outcome.h"
#include "delivery-queue/remote/route.h"
#include "delivery-queue/remote/smtp_client.h"
#include "lib/base/strings.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::ElementsAre;
using Hosts = std::vector<std::string>;

TEST(Route, PatternsMatchWithStarsAndQuestionMarks) {
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("*.example.test", "a.b.example.test"));
  EXPECT_FALSE(MatchesPattern("*.example.test", "example.test"));
  EXPECT_TRUE(MatchesPattern("mail?.test", "MAIL1.test"));
  EXPECT_FALSE(MatchesPattern("mail?.test", "mail.test"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "aXbXbc"));
  EXPECT_FALSE(MatchesPattern("", "x"));
}

TEST(Route, TheMostExactPatternWins) {
  const std::vector<Route> routes = {{"*", {}, "", "", Security::kNone},
                                     {"*.example.test", {}, "", "", Security::kNone},
                                     {"a.example.test", {}, "", "", Security::kNone}};
  EXPECT_EQ(FindRoute(routes, "a.example.test"), &routes[2]);
  EXPECT_EQ(FindRoute(routes, "b.example.test"), &routes[1]);
  EXPECT_EQ(FindRoute(routes, "else.test"), &routes[0]);
  EXPECT_EQ(FindRoute({}, "else.test"), nullptr);
}

TEST(Route, HostsMayHavePorts) {
  EXPECT_EQ(ParseHostPort("mx.test"), (HostPort{"mx.test", 0}));
  EXPECT_EQ(ParseHostPort("mx.test:2525"), (HostPort{"mx.test", 2525}));
  EXPECT_EQ(ParseHostPort("[2001:db8::1]:26"), (HostPort{"2001:db8::1", 26}));
  EXPECT_EQ(ParseHostPort("2001:db8::1"), (HostPort{"2001:db8::1", 0}));
}

absl::StatusOr<dns::MailHosts> Found(std::vector<dns::MxHost> hosts) {
  return dns::MailHosts{dns::Outcome::kFound, false, false, std::move(hosts)};
}
size_t First(size_t) { return 0; }
RemoteOutcome FailureOf(const HostPlan& plan) {
  const auto* failure = std::get_if<RemoteOutcome>(&plan);
  return failure == nullptr ? RemoteOutcome{RemoteOutcome::Kind::kSent} : *failure;
}

TEST(MailHosts, ArePlannedByPreference) {  // [RFC5321 5.1]
  const HostPlan plan =
      PlanHosts("d.test", Found({{20, "b"}, {10, "a"}, {30, "c"}}), "us.test", First);
  EXPECT_THAT(std::get<Hosts>(plan), ElementsAre("a", "b", "c"));
}

TEST(MailHosts, EqualPreferencesAreShuffled) {  // [RFC5321 5.1]
  const auto answer = Found({{10, "a"}, {10, "b"}, {20, "c"}});
  EXPECT_THAT(std::get<Hosts>(PlanHosts("d.test", answer, "us.test", First)),
              ElementsAre("b", "a", "c"));
  const Dice last = [](size_t limit) { return limit - 1; };
  EXPECT_THAT(std::get<Hosts>(PlanHosts("d.test", answer, "us.test", last)),
              ElementsAre("a", "b", "c"));
}

TEST(MailHosts, WeAndThoseBehindUsAreLeftOut) {  // [RFC5321 5.1]
  const HostPlan plan = PlanHosts(
      "d.test", Found({{10, "a"}, {20, "US.test."}, {20, "b"}, {30, "c"}}), "us.test", First);
  EXPECT_THAT(std::get<Hosts>(plan), ElementsAre("a"));
  EXPECT_EQ(
      FailureOf(PlanHosts("d.test", Found({{10, "us.test"}, {20, "b"}}), "us.test", First)).status,
      "5.4.6");
}

TEST(MailHosts, WithoutMxTheDomainItselfIsTheHost) {  // [RFC5321 5.1]
  const dns::MailHosts none{dns::Outcome::kNoData, false, false, {}};
  EXPECT_THAT(std::get<Hosts>(PlanHosts("d.test", none, "us.test", First)), ElementsAre("d.test"));
}

TEST(MailHosts, FailuresAreTemporaryOnlyWhenTheyMayPass) {
  const dns::MailHosts null_mx{dns::Outcome::kFound, false, true, {}};
  const dns::MailHosts missing{dns::Outcome::kNxDomain, false, false, {}};
  EXPECT_EQ(FailureOf(PlanHosts("d.test", null_mx, "us.test", First)).status,
            "5.1.10");  // [RFC7505 4.1]
  EXPECT_EQ(FailureOf(PlanHosts("d.test", missing, "us.test", First)).status, "5.1.2");
  const RemoteOutcome away =
      FailureOf(PlanHosts("d.test", base::Unavailable("SERVFAIL"), "us.test", First));
  EXPECT_EQ(away.status, "4.4.3");
  EXPECT_EQ(away.kind, RemoteOutcome::Kind::kDeferred);
}

TEST(NextHop, GrowsSlowlyAndShrinksAtOnce) {
  net::Loop loop;
  NextHop hop(loop, "k", "d.test");
  for (int i = 0; i < 1000; ++i) hop.OnGoodMessage();
  EXPECT_EQ(hop.limit(), 20);
  hop.OnLost();
  EXPECT_EQ(hop.limit(), 10);
  for (int i = 0; i < 10; ++i) hop.OnLost();
  EXPECT_EQ(hop.limit(), 1);
}

TEST(NextHop, IsLeftAloneLongerEachTimeUpToALimit) {
  net::Loop loop;
  NextHop hop(loop, "k", "d.test");
  NextHop::Time now = std::chrono::steady_clock::now();
  hop.OnUnreachable(Deferred("4.4.1", "x"), now);
  EXPECT_NE(hop.LeftAlone(now + std::chrono::milliseconds(999)), nullptr);
  EXPECT_EQ(hop.LeftAlone(now + std::chrono::milliseconds(1000)), nullptr);
  for (int i = 0; i < 30; ++i)
    hop.OnUnreachable(Deferred("4.4.1", "x"), now += std::chrono::hours(1));
  EXPECT_NE(hop.LeftAlone(now + std::chrono::minutes(4)), nullptr);
  EXPECT_EQ(hop.LeftAlone(now + std::chrono::minutes(5)), nullptr);
}

TEST(Outcome, TextFromOutsideBecomesOneLineOfUtf8) {
  const RemoteOutcome outcome = FromReply(mail::Reply(550, {5, 1, 1}, "no \xff\x01user"), "mx");
  EXPECT_EQ(outcome.reply, "550 5.1.1 no \xEF\xBF\xBD user");
  EXPECT_EQ(outcome.status, "5.1.1");
}

TEST(Offers, AreReadFromEhlo) {
  mail::Reply reply;
  reply.code = 250;
  reply.lines = {"sink",       "size 1000", "AUTH=LOGIN", "auth PLAIN CRAM-MD5",
                 "PIPELINING", "starttls",  "smtputf8"};
  const Offers offers = ParseOffers(reply);
  EXPECT_EQ(offers.max_size, 1000U);
  EXPECT_TRUE(offers.auth_login && offers.auth_plain && offers.pipelining && offers.starttls &&
              offers.smtputf8);
  EXPECT_FALSE(offers.dsn);
}

}  // namespace
}  // namespace posthorn::delivery_queue
