#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/dns/unbound_resolver.h"
#include "lib/net/loop.h"
#include "lib/testing/dns_server.h"
#include "lib/testing/run_task.h"
#include "spam-service/checks/dns_blacklist.h"
#include "spam-service/checks/encoded_text.h"
#include "spam-service/checks/gtube.h"
#include "spam-service/checks/spf.h"
#include "spam-service/engine/engine.h"

namespace posthorn::spam_service {
namespace {

using std::chrono::milliseconds;

std::shared_ptr<Envelope> From(std::string_view client) {
  auto envelope = std::make_shared<Envelope>();
  envelope->client = client;
  envelope->address = net::ParseAddress(client);
  envelope->remote = net::IsPublicAddress(*envelope->address);
  envelope->helo = "mta.example";
  envelope->sender = "bob@sender.test";
  return envelope;
}

TEST(Listing, FollowsThePatterns) {
  EXPECT_TRUE(IsListing("127.0.0.2", {}));
  EXPECT_FALSE(IsListing("192.0.2.1", {})) << "a resolver that answers for names that do not exist";
  EXPECT_FALSE(IsListing("127.255.255.254", {})) << "the list's own error code";
  EXPECT_TRUE(IsListing("127.0.0.10", {"127.0.0.2", "127.0.0.1*"}));
  EXPECT_TRUE(IsListing("127.0.0.4", {"127.0.0.*"}));
  EXPECT_FALSE(IsListing("127.0.1.4", {"127.0.0.*"}));
}

class BlacklistTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = testing::DnsServer::Start("bl.test", R"(
2.0.0.127 IN A 127.0.0.2
9.2.0.192 IN A 127.0.0.2
9.2.0.192 IN A 127.0.0.11
8.2.0.192 IN A 127.255.255.254
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 IN A 127.0.0.3
)")
                  .release();
  }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    resolver_ = dns::UnboundResolver::Create(loop_, {{server_->address()}, ""}).value();
  }
  std::optional<Finding> Ask(std::string_view client, DnsBlacklist list,
                             milliseconds limit = milliseconds(10000)) {
    const auto test = NewDnsBlacklistTest(*resolver_, breaker_, std::move(list));
    return testing::RunTask(loop_,
                            test->Run(From(client), std::chrono::steady_clock::now() + limit));
  }

  static testing::DnsServer* server_;
  net::Loop loop_;
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::shared_ptr<Breaker> breaker_ =
      std::make_shared<Breaker>("dnsbl", Breaker::Rules{2, milliseconds(60000)});
};
testing::DnsServer* BlacklistTest::server_ = nullptr;

TEST_F(BlacklistTest, ListedClientScoresWithReasons) {  // [RFC5782 2.1]
  const auto finding = Ask("192.0.2.9", {"bl.test", 4, {}, ""});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->name, "dnsbl.bl.test");
  EXPECT_EQ(finding->score, 4);
  EXPECT_EQ(finding->public_text, "192.0.2.9 is listed by bl.test");
  EXPECT_FALSE(finding->skipped);
}

TEST_F(BlacklistTest, OwnReasonIsGivenToTheClient) {
  const auto finding = Ask("192.0.2.9", {"bl.test", 4, {}, "see https://bl.test"});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->public_text, "see https://bl.test");
}

TEST_F(BlacklistTest, Ipv6IsAskedInNibbles) {  // [RFC5782 2.4]
  const auto finding = Ask("2001:db8::1", {"bl.test", 4, {}, ""});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->score, 4);
}

TEST_F(BlacklistTest, OtherClientsAndOtherAnswersAreNoHit) {
  EXPECT_EQ(Ask("192.0.2.1", {"bl.test", 4, {}, ""}), std::nullopt);
  EXPECT_EQ(Ask("2001:db8::2", {"bl.test", 4, {}, ""}), std::nullopt);
  EXPECT_EQ(Ask("192.0.2.9", {"bl.test", 4, {"127.0.0.4"}, ""}), std::nullopt);
  EXPECT_TRUE(Ask("192.0.2.9", {"bl.test", 4, {"127.0.0.11"}, ""}).has_value());
}

TEST_F(BlacklistTest, ListThatRefusesUsIsSkipped) {
  const auto finding = Ask("192.0.2.8", {"bl.test", 4, {}, ""});
  ASSERT_TRUE(finding.has_value());
  EXPECT_TRUE(finding->skipped);
  EXPECT_EQ(finding->score, 0);
}

TEST_F(BlacklistTest, SilentListIsSkippedAtTheDeadlineAndThenLeftAlone) {
  const testing::SilentDnsServer silent;
  ASSERT_TRUE(resolver_->Configure({{silent.address()}, ""}).ok());
  for (int i = 0; i < 2; ++i) {
    const auto finding = Ask("192.0.2.9", {"bl.test", 4, {}, ""}, milliseconds(100));
    ASSERT_TRUE(finding.has_value());
    EXPECT_EQ(finding->reason, "not asked: no DNS answer in time");
  }
  EXPECT_TRUE(breaker_->open());
  const auto finding = Ask("192.0.2.9", {"bl.test", 4, {}, ""});
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->reason, "not asked: left alone after time-outs");
  EXPECT_TRUE(finding->skipped);
}

TEST_F(BlacklistTest, WholeVerdictKeepsTheDeadlineWithASilentServer) {
  const testing::SilentDnsServer silent;
  ASSERT_TRUE(resolver_->Configure({{silent.address()}, ""}).ok());
  auto tests = std::make_shared<TestSet>();
  tests->deadline = milliseconds(150);
  tests->envelope.push_back(NewSpfTest(*resolver_));
  tests->envelope.push_back(NewDnsBlacklistTest(*resolver_, breaker_, {"bl.test", 4, {}, ""}));
  const auto begin = std::chrono::steady_clock::now();
  const Verdict verdict = testing::RunTask(loop_, CheckEnvelope(loop_, tests, From("192.0.2.9")));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_TRUE(verdict.incomplete);
  EXPECT_EQ(verdict.findings.size(), 2u);
  EXPECT_EQ(verdict.authentication_results, "spf=temperror smtp.mailfrom=bob@sender.test");
}

TEST(SpfAuthenticationResult, QuotesWhatIsNoToken) {  // [RFC8601 2.2]
  Envelope envelope;
  envelope.helo = "mta.example";
  EXPECT_EQ(SpfAuthenticationResult(SpfResult::kNone, envelope), "spf=none smtp.helo=mta.example");
  envelope.sender = "\"a b\"@x.example";
  EXPECT_EQ(SpfAuthenticationResult(SpfResult::kPass, envelope),
            "spf=pass smtp.mailfrom=\"\\\"a b\\\"@x.example\"");
  envelope.sender = "a;spf=pass@x.example\r\nX: y";
  EXPECT_EQ(SpfAuthenticationResult(SpfResult::kFail, envelope),
            "spf=fail smtp.mailfrom=\"a;spf=pass@x.example??X: y\"");
}

// The text as quoted-printable, with a soft line break in the middle.
std::string Quoted(std::string_view text) {
  return base::StrCat(text.substr(0, 20), "=\r\n",
                      text.substr(20, 1) == "*" ? "=2A" : text.substr(20, 1), text.substr(21));
}

std::string Base64Lines(std::string_view text) {
  std::string lines;
  const std::string encoded = base::Base64(text);
  for (size_t at = 0; at < encoded.size(); at += 60)
    base::StrAppend(lines, encoded.substr(at, 60), "\r\n");
  return lines;
}

class GtubeChunks : public ::testing::TestWithParam<size_t> {
 protected:
  bool Found(const std::string& message) {
    const auto scan = NewGtubeTest()->Begin(From("192.0.2.1"));
    const size_t chunk = GetParam() == 0 ? message.size() : GetParam();
    for (size_t at = 0; at < message.size(); at += chunk)
      scan->Feed(std::string_view(message).substr(at, chunk));
    return testing::RunTask(loop_, scan->Finish(Deadline())).has_value();
  }
  net::Loop loop_;
};
INSTANTIATE_TEST_SUITE_P(Sizes, GtubeChunks, ::testing::Values(1, 7, 0));

TEST_P(GtubeChunks, IsFoundInPlainText) {
  EXPECT_TRUE(Found(base::StrCat("Subject: x\r\n\r\nXJS*C4JDBQ", kGtube, "\r\n")));
  EXPECT_FALSE(
      Found(base::StrCat("Subject: x\r\n\r\n", kGtube.substr(0, 67), "\r\n", kGtube.substr(1))));
}

TEST_P(GtubeChunks, IsFoundInEncodedParts) {
  EXPECT_TRUE(Found(base::StrCat("content-transfer-encoding: BASE64\r\n\r\n",
                                 Base64Lines(base::StrCat("some words before it ", kGtube)))));
  EXPECT_TRUE(Found(base::StrCat(
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n",
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n", Quoted(kGtube), "\r\n--b--\r\n")));
  EXPECT_TRUE(
      Found(base::StrCat("--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\n",
                         "Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\n",
                         Base64Lines(kGtube), "--b--\r\n")));
}

TEST(Gtube, IsNotLookedForInMailOfOurOwnUsers) {
  auto envelope = From("192.0.2.1");
  envelope->trusted = true;
  EXPECT_EQ(NewGtubeTest()->Begin(envelope), nullptr);
}

}  // namespace
}  // namespace posthorn::spam_service
