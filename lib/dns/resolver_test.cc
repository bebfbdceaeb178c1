// The resolver against a real server.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "lib/base/strings.h"
#include "lib/dns/lookup.h"
#include "lib/dns/unbound_resolver.h"
#include "lib/net/loop.h"
#include "lib/testing/dns_server.h"
#include "lib/testing/run_task.h"

namespace posthorn::dns {
namespace {

using std::chrono::milliseconds;
using testing::DnsServer;
using testing::RunTask;

constexpr std::string_view kZone = R"(
www   IN A 192.0.2.10
www   IN A 192.0.2.11
www   IN AAAA 2001:db8::10
v4    IN A 192.0.2.12
alias IN CNAME www
dead  IN CNAME nowhere
@     IN MX 20 mx2
@     IN MX 10 mx1.example.test.
none  IN MX 0 .
mixed IN MX 0 .
mixed IN MX 5 mx1
txt   IN TXT "v=spf1 " "-all"
txt   IN TXT "other"
)";

class ResolverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = DnsServer::Start("example.test", kZone).release(); }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    resolver_ = UnboundResolver::Create(loop_, {{server_->address()}, ""}).value();
  }
  Answer Ask(std::string name, Type type) {
    return RunTask(loop_, resolver_->Query(name, type)).value();
  }

  static DnsServer* server_;
  net::Loop loop_;
  std::unique_ptr<UnboundResolver> resolver_;
};
DnsServer* ResolverTest::server_ = nullptr;

TEST_F(ResolverTest, FindsAddressesOfBothFamilies) {
  const auto found =
      RunTask(loop_, LookupAddresses(loop_, *resolver_, "WWW.example.test.")).value();
  EXPECT_EQ(found.outcome, Outcome::kFound);
  EXPECT_EQ(std::set<std::string>(found.v4.begin(), found.v4.end()),
            (std::set<std::string>{"192.0.2.10", "192.0.2.11"}));
  EXPECT_EQ(found.v6, std::vector<std::string>{"2001:db8::10"});
  EXPECT_FALSE(found.secure);
}

TEST_F(ResolverTest, FollowsAliases) {
  const Answer answer = Ask("alias.example.test", Type::kA);
  EXPECT_EQ(answer.outcome, Outcome::kFound);
  EXPECT_EQ(answer.records.size(), 2u);
  EXPECT_EQ(answer.canonical_name, "www.example.test");
}

TEST_F(ResolverTest, TellsNoDataFromNoSuchName) {
  EXPECT_EQ(Ask("v4.example.test", Type::kAaaa).outcome, Outcome::kNoData);
  EXPECT_EQ(Ask("nowhere.example.test", Type::kA).outcome, Outcome::kNxDomain);
  EXPECT_EQ(Ask("dead.example.test", Type::kA).outcome, Outcome::kNxDomain);
  EXPECT_EQ(RunTask(loop_, LookupAddresses(loop_, *resolver_, "txt.example.test")).value().outcome,
            Outcome::kNoData);
}

TEST_F(ResolverTest, SortsMxByPreference) {
  const auto mx = RunTask(loop_, LookupMx(*resolver_, "example.test")).value();
  EXPECT_EQ(mx.hosts, (std::vector<MxHost>{{10, "mx1.example.test"}, {20, "mx2.example.test"}}));
  EXPECT_FALSE(mx.null_mx);
}

TEST_F(ResolverTest, RecognisesNullMx) {  // [RFC7505 3]
  const auto none = RunTask(loop_, LookupMx(*resolver_, "none.example.test")).value();
  EXPECT_TRUE(none.null_mx);
  EXPECT_TRUE(none.hosts.empty());
  const auto mixed = RunTask(loop_, LookupMx(*resolver_, "mixed.example.test")).value();
  EXPECT_FALSE(mixed.null_mx);
  EXPECT_EQ(mixed.hosts.size(), 1u);
}

TEST_F(ResolverTest, JoinsTheStringsOfOneTxtRecord) {
  auto found = RunTask(loop_, LookupTxt(*resolver_, "txt.example.test")).value();
  std::ranges::sort(found.texts);
  EXPECT_EQ(found.texts, (std::vector<std::string>{"other", "v=spf1 -all"}));
}

TEST_F(ResolverTest, AsksForPrivateReverseZones) {
  const auto server = DnsServer::Start("10.in-addr.arpa", "3.2.1 IN PTR Host.Example.test.");
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(resolver_->Configure({{server->address()}, ""}).ok());
  const auto found = RunTask(loop_, LookupPtr(*resolver_, "10.1.2.3")).value();
  EXPECT_EQ(found.names, std::vector<std::string>{"host.example.test"});
}

TEST_F(ResolverTest, ForeignZoneIsATemporaryFailure) {
  const auto answer = RunTask(loop_, resolver_->Query("www.elsewhere.test", Type::kA));
  EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
  EXPECT_FALSE(IsTimeout(answer.status()));
}

TEST_F(ResolverTest, RefusesNamesThatCannotBeAsked) {
  EXPECT_TRUE(absl::IsInvalidArgument(RunTask(loop_, resolver_->Query("a..b", Type::kA)).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(RunTask(loop_, LookupPtr(*resolver_, "host")).status()));
}

TEST_F(ResolverTest, ConfigureSwitchesServersAndKeepsThemOnError) {
  const auto other = DnsServer::Start("example.test", "www IN A 198.51.100.1");
  ASSERT_NE(other, nullptr);
  EXPECT_TRUE(absl::IsInvalidArgument(resolver_->Configure({{"dns.example.test"}, ""})));
  EXPECT_TRUE(absl::IsUnavailable(resolver_->Configure({{server_->address()}, "/does/not/exist"})));
  EXPECT_EQ(Ask("www.example.test", Type::kA).records.size(), 2u);
  ASSERT_TRUE(resolver_->Configure({{other->address()}, ""}).ok());
  EXPECT_EQ(AddressFromData(Ask("www.example.test", Type::kA).records.at(0)), "198.51.100.1");
}

TEST_F(ResolverTest, SilentServerIsATimeout) {
  const testing::SilentDnsServer hole;
  ASSERT_TRUE(resolver_->Configure({{hole.address()}, ""}).ok());
  const auto begin = std::chrono::steady_clock::now();
  const auto answer =
      RunTask(loop_, resolver_->Query("www.example.test", Type::kA, milliseconds(150)));
  EXPECT_TRUE(absl::IsUnavailable(answer.status()));
  EXPECT_TRUE(IsTimeout(answer.status()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

net::Task<void> AskForNothing(Resolver* resolver) {
  (void)co_await resolver->Query("www.example.test", Type::kA);
}

TEST(ResolverEnd, LoopMayEndWhileQuestionsAreUnderWay) {
  const testing::SilentDnsServer hole;
  std::unique_ptr<UnboundResolver> resolver;
  net::Loop loop;
  resolver = UnboundResolver::Create(loop, {{hole.address()}, ""}).value();
  for (int i = 0; i < 10; ++i) loop.Spawn("test", AskForNothing(resolver.get()));
  RunTask(loop, net::Sleep(loop, milliseconds(20)));  // they are asked, and never answered
  resolver.reset();
}

class SignedZone : public ::testing::Test {
 protected:
  absl::StatusOr<Answer> Ask(const DnsServer& server, std::string name) {
    const auto resolver =
        UnboundResolver::Create(loop_, {{server.address()}, server.trust_anchor()}).value();
    return RunTask(loop_, resolver->Query(std::move(name), Type::kA));
  }
  net::Loop loop_;
};

TEST_F(SignedZone, AnswersAndDenialsAreSecure) {
  const auto server = DnsServer::StartSigned("example.test", kZone);
  ASSERT_NE(server, nullptr);
  const auto found = Ask(*server, "v4.example.test");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->secure);
  const auto missing = Ask(*server, "nowhere.example.test");
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_EQ(missing->outcome, Outcome::kNxDomain);
  EXPECT_TRUE(missing->secure);
}

TEST_F(SignedZone, WithoutAnchorNothingIsSecure) {
  const auto server = DnsServer::StartSigned("example.test", kZone);
  ASSERT_NE(server, nullptr);
  const auto resolver = UnboundResolver::Create(loop_, {{server->address()}, ""}).value();
  const auto found = RunTask(loop_, resolver->Query("v4.example.test", Type::kA));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->secure);
}

TEST_F(SignedZone, ForgedRecordIsBogus) {
  const auto server = DnsServer::StartSigned("example.test", kZone, "192.0.2.12", "192.0.2.66");
  ASSERT_NE(server, nullptr);
  const auto found = Ask(*server, "v4.example.test");
  EXPECT_TRUE(absl::IsDataLoss(found.status())) << found.status();
}

}  // namespace
}  // namespace posthorn::dns
