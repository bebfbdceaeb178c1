#include "smtp-gateway/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"

namespace posthorn::smtp_gateway {
namespace {

using common::v1::Verdict;
using store::v1::PutReply;
using store::v1::ResolveReply;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

template <class Result>
class FakeSink : public Sink<Result> {
 public:
  FakeSink(std::string& into, absl::StatusOr<Result> result) : into_(into), result_(std::move(result)) {}
  net::Task<absl::Status> Write(std::string_view chunk) override {
    into_.append(chunk);
    co_return absl::OkStatus();
  }
  net::Task<absl::StatusOr<Result>> Finish() override { co_return result_; }

 private:
  std::string& into_;
  absl::StatusOr<Result> result_;
};

// alice@here.test is 1, bob 2, full 3 (over quota); far.test is somebody else's.
class FakeBackend : public Backend {
 public:
  net::Task<absl::StatusOr<Resolution>> Resolve(std::string address) override {
    if (directory_down) co_return base::Unavailable("down");
    auto reply = std::make_shared<ResolveReply>();
    const std::string lower = base::Lower(address);
    const std::map<std::string, uint64_t> accounts = {
        {"alice@here.test", 1}, {"bob@here.test", 2}, {"full@here.test", 3}, {"postmaster", 2}};
    if (const auto found = accounts.find(lower); found != accounts.end()) {
      reply->set_kind(ResolveReply::ACCOUNT);
      reply->set_account(found->second);
      reply->set_over_quota(found->second == 3);
      reply->set_quota(1000000);
      reply->set_used(900000);
    } else {
      reply->set_kind(lower.ends_with("@here.test") ? ResolveReply::UNKNOWN : ResolveReply::REMOTE);
    }
    co_return Resolution(reply);
  }
  net::Task<login::Verdict> Login(login::Attempt attempt) override {
    login::Verdict answer;
    answer.outcome = login::Outcome::kFailure;
    if (attempt.name == "alice@here.test" && attempt.password == "secret") {
      auto identity = std::make_shared<login::Identity>();
      identity->account = 1;
      identity->address = "alice@here.test";
      identity->may_send_as = {"sales@here.test"};
      answer = {login::Outcome::kSuccess, identity};
    }
    co_return answer;
  }
  std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t, std::function<void()>) override { return nullptr; }
  net::Task<absl::StatusOr<Verdict>> CheckEnvelope(spam::v1::Envelope) override {
    ++envelope_checks;
    co_return envelope_verdict;
  }
  std::unique_ptr<Scan> StartScan(spam::v1::Envelope, Verdict, rpc::TraceContext) override {
    return std::make_unique<FakeSink<Verdict>>(scanned, verdict);
  }
  net::Task<absl::StatusOr<Verdict>> ScanWhole(spam::v1::Envelope, Verdict,
                                               std::shared_ptr<const std::string> bytes,
                                               rpc::TraceContext) override {
    scanned += *bytes;
    co_return verdict;
  }
  std::unique_ptr<Upload> StartUpload(std::string, uint64_t, rpc::TraceContext) override {
    return std::make_unique<FakeSink<PutReply>>(stored, put);
  }
  net::Task<absl::StatusOr<PutReply>> PutWhole(std::string, std::shared_ptr<const std::string> bytes,
                                                      rpc::TraceContext) override {
    stored += *bytes;
    co_return put;
  }
  net::Task<absl::Status> Enqueue(queue::v1::Entry entry) override {
    if (!queue_status.ok()) co_return queue_status;
    entries.push_back(std::move(entry));
    co_return absl::OkStatus();
  }
  void Record(common::v1::Event event) override { events.push_back(std::move(event)); }

  bool directory_down = false;
  absl::StatusOr<Verdict> envelope_verdict = Verdict();
  absl::StatusOr<Verdict> verdict = Verdict();
  absl::StatusOr<PutReply> put = PutReply();
  absl::Status queue_status;
  int envelope_checks = 0;
  std::string scanned;
  std::string stored;
  std::vector<queue::v1::Entry> entries;
  std::vector<common::v1::Event> events;
};

class SmtpSessionTest : public ::testing::TestWithParam<size_t> {
 protected:
  SmtpSessionTest() : drain_(loop_) {
    settings_ = std::make_shared<config::v1::Settings>(config::Snapshot().Get<config::v1::Settings>());
    port_->config.set_name("smtp");
    port_->config.set_protocol(config::v1::SMTP);
    port_->config.set_tls(config::v1::STARTTLS);
    port_->tls = *net::TlsContext::Server({*net::TlsContext::MakeSelfSigned({"mx.here.test"}, 1)});
  }

  // The whole dialogue: what a client that sends `input` and then half-closes is told.
  std::string Talk(const std::string& input, const std::string& after_tls = "") {
    ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
    Surroundings around{backend_, drain_, [this] { return settings_; },
                        [this](std::string_view) { return rights_; }, "mx.here.test"};
    peer.Send(input);
    if (!after_tls.empty()) peer.SendAfterTls(after_tls);
    peer.HalfClose();
    auto connection = peer.TakeConnection();
    if (!client_.empty()) connection->SetEndpoints({client_, 4711}, {"192.0.2.25", 25});
    ::posthorn::testing::RunTask(loop_, SmtpSession::Serve(std::make_shared<SmtpSession>(
                                            around, std::move(connection), port_)));
    return peer.received();
  }
  // The codes of all final reply lines.
  std::vector<std::string> Codes(const std::string& input, const std::string& after_tls = "") {
    std::vector<std::string> codes;
    const std::string answer = Talk(input, after_tls);
    for (const std::string_view line : base::Split(answer, '\n'))
      if (line.size() > 3 && line[3] == ' ') codes.emplace_back(line.substr(0, 3));
    return codes;
  }

  net::Loop loop_;
  net::Drain drain_;
  FakeBackend backend_;
  std::shared_ptr<config::v1::Settings> settings_;
  std::shared_ptr<gateway::Port> port_ = std::make_shared<gateway::Port>();
  gateway::NetworkRights rights_;
  std::string client_;  // its address, when it matters
};

INSTANTIATE_TEST_SUITE_P(Chunks, SmtpSessionTest, ::testing::Values(1, 7, 0),
                         [](const auto& info) { return base::StrCat("Of", info.param); });

constexpr char kMail[] = "EHLO c.far.test\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<alice@here.test>\r\n";

// [RFC5321 3.3]
TEST_P(SmtpSessionTest, AMessageIsStoredQueuedAndThenAnswered) {
  const std::string answer = Talk(base::StrCat(kMail, "DATA\r\n"));
  EXPECT_THAT(answer, HasSubstr("354 "));
  ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
  backend_.put->mutable_blob()->set_key(42);
  Surroundings around{backend_, drain_, [this] { return settings_; }, [this](std::string_view) { return rights_; },
                      "mx.here.test"};
  loop_.Spawn("client", [](::posthorn::testing::ScriptPeer& client) -> net::Task<void> {
    client.Send(kMail);
    client.Send("DATA\r\n");
    EXPECT_TRUE(co_await client.WaitReceived("354 "));
    client.Send("Subject: hi\r\n\r\n..dot\r\nline\r\n.\r\nQUIT\r\n");
    EXPECT_TRUE(co_await client.WaitReceived("221 "));
  }(peer));
  ::posthorn::testing::RunTask(loop_, SmtpSession::Serve(std::make_shared<SmtpSession>(around, peer.TakeConnection(), port_)));
  EXPECT_EQ(backend_.stored, "Subject: hi\r\n\r\n.dot\r\nline\r\n");
  EXPECT_EQ(backend_.scanned, backend_.stored);
  ASSERT_THAT(backend_.entries, SizeIs(1));
  const queue::v1::Entry& entry = backend_.entries[0];
  EXPECT_EQ(entry.sender(), "x@far.test");
  EXPECT_EQ(entry.blob().key(), 42U);
  EXPECT_EQ(entry.recipients(0).account(), 1U);
  EXPECT_THAT(entry.prefix(), HasSubstr("Received: from c.far.test ([192.0.2.1])"));
  EXPECT_THAT(entry.prefix(), HasSubstr("with ESMTP\r\n id "));
  EXPECT_THAT(entry.prefix(), EndsWith("\r\n"));
  EXPECT_THAT(peer.received(), HasSubstr("250 2.0.0 OK queued as "));
  ASSERT_THAT(backend_.events, SizeIs(1));
  EXPECT_EQ(backend_.events[0].step(), common::v1::Event::ACCEPTED);
}

TEST_P(SmtpSessionTest, TheEnvelopeIsJudgedOnceForASenderAndOnlyOfPublicClients) {
  const std::string rcpt = "RCPT TO:<alice@here.test>\r\n";
  client_ = "198.51.100.7";
  Talk(base::StrCat(kMail, rcpt, "RSET\r\nMAIL FROM:<x@far.test>\r\n", rcpt));
  EXPECT_EQ(backend_.envelope_checks, 1);
  client_ = "10.0.0.7";
  Talk(kMail);
  EXPECT_EQ(backend_.envelope_checks, 1);
}

TEST_P(SmtpSessionTest, CommandsOutOfOrderAreRefused) {
  EXPECT_THAT(Codes("MAIL FROM:<x@far.test>\r\nEHLO c\r\n"), ElementsAre("220", "503", "250"));
  EXPECT_THAT(Codes("EHLO c\r\nRCPT TO:<alice@here.test>\r\nDATA\r\n"), ElementsAre("220", "250", "503", "503"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<a@far.test>\r\nMAIL FROM:<b@far.test>\r\nRSET\r\nMAIL FROM:<b@far.test>\r\n"),
              ElementsAre("220", "250", "250", "503", "250", "250"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<a@far.test>\r\nDATA\r\n"), ElementsAre("220", "250", "250", "554"));
}

TEST_P(SmtpSessionTest, NeverAnOpenRelay) {
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<alice@here.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<@here.test:y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  rights_.may_relay = true;
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "250"));
}

TEST_P(SmtpSessionTest, UnknownAndFullAreRefusedAtRcpt) {
  const std::string answer = Talk(
      "EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT TO:<full@here.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("550 5.1.1 "));
  EXPECT_THAT(answer, HasSubstr("452 4.2.2 "));
  settings_->set_quota_full_is_permanent(true);
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<x@far.test> SIZE=200000\r\nRCPT TO:<alice@here.test>\r\n"),
              HasSubstr("552 5.2.2 "));
  backend_.directory_down = true;
  EXPECT_THAT(Talk(kMail), HasSubstr("451 4.3.0 "));
}

TEST_P(SmtpSessionTest, PostmasterAloneIsAcceptedFromEverybody) {  // [RFC5321 4.5.1]
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<PostMaster>\r\n"),
              ElementsAre("220", "250", "250", "250"));
}

TEST_P(SmtpSessionTest, SizeIsCheckedAtMail) {
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<x@far.test> SIZE=99999999999\r\n"), HasSubstr("552 5.3.4 "));
  EXPECT_THAT(Talk("EHLO c\r\n"), HasSubstr(base::StrCat("250-SIZE ", settings_->max_message_size(), "\r\n")));
}

// [RFC6409 4.3]
TEST_P(SmtpSessionTest, SubmissionDemandsALoginAndItsOwnSender) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  rights_.plaintext_login = true;
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<alice@here.test>\r\n"), HasSubstr("530 5.7.0 "));
  const std::string login = base::StrCat("EHLO c\r\nAUTH PLAIN ", base::Base64(std::string("\0alice@here.test\0secret", 23)), "\r\n");
  const std::string answer =
      Talk(login + "MAIL FROM:<bob@here.test>\r\nMAIL FROM:<Sales@here.test>\r\nRCPT TO:<y@far.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("235 2.7.0 "));
  EXPECT_THAT(answer, HasSubstr("553 5.7.1 "));
  EXPECT_THAT(answer, HasSubstr("250 2.1.5 "));
}

// [RFC4954 4]
TEST_P(SmtpSessionTest, PasswordsInClearTextNeedPermission) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  EXPECT_THAT(Talk("EHLO c\r\n"), Not(HasSubstr("AUTH")));
  EXPECT_THAT(Talk("EHLO c\r\nAUTH PLAIN AGEAYg==\r\n"), HasSubstr("538 5.7.11 "));
  EXPECT_THAT(Talk("EHLO c\r\nSTARTTLS\r\n", "EHLO c\r\n"), HasSubstr("AUTH PLAIN LOGIN"));
}

TEST_P(SmtpSessionTest, LoginMechanismsAndTheirMistakes) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  rights_.plaintext_login = true;
  EXPECT_THAT(Codes("EHLO c\r\nAUTH LOGIN YWxpY2VAaGVyZS50ZXN0\r\n"), ElementsAre("220", "250", "334", "501"));
  EXPECT_THAT(Codes("EHLO c\r\nAUTH CRAM-MD5\r\nAUTH PLAIN !!!\r\n"), ElementsAre("220", "250", "504", "501"));
  EXPECT_THAT(Talk(base::StrCat("EHLO c\r\nAUTH PLAIN ", base::Base64(std::string("\0alice@here.test\0wrong", 22)), "\r\n")),
              HasSubstr("535 5.7.8 "));
}

// [RFC3207 4.2] what was pipelined in clear text behind STARTTLS is not obeyed.
TEST_P(SmtpSessionTest, NothingInjectedBeforeTlsIsObeyed) {
  const std::string answer = Talk("EHLO c\r\nSTARTTLS\r\n", "MAIL FROM:<x@far.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("220 2.0.0 Ready"));
  EXPECT_THAT(answer, HasSubstr("503 5.5.1 Say hello first"));
}

TEST_P(SmtpSessionTest, PortsThatDemandTlsSaySo) {
  port_->config.set_tls(config::v1::STARTTLS_REQUIRED);
  EXPECT_THAT(Codes("EHLO c\r\nNOOP\r\nMAIL FROM:<x@far.test>\r\n"), ElementsAre("220", "250", "250", "530"));
}

TEST_P(SmtpSessionTest, NoiseIsAnsweredBrieflyAndEnds) {
  EXPECT_THAT(Talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("554 5.5.1 This is SMTP, not HTTP"));
  std::string noise;
  for (int i = 0; i < 100; ++i) noise += "\x01\x02 garbage\r\n";
  EXPECT_THAT(Codes(noise), SizeIs(::testing::Le(5U)));
  const std::string answer = Talk(base::StrCat("EHLO c\r\n", std::string(GetParam() == 1 ? 100000 : 1000000, 'A'), "\r\nNOOP\r\n"));
  EXPECT_THAT(answer, HasSubstr("500 5.5.6 Line too long"));
  EXPECT_THAT(answer, HasSubstr("250 2.0.0 OK"));
}

TEST_P(SmtpSessionTest, TooManyErrorsEndTheSession) {
  std::string input = "EHLO c\r\n";
  for (int i = 0; i < 50; ++i) input += "RCPT TO:<x>\r\n";
  EXPECT_THAT(Talk(input), HasSubstr("421 4.7.0 Too many errors"));
}

TEST_P(SmtpSessionTest, AStopIsSaidBetweenCommands) {
  drain_.Begin();
  EXPECT_THAT(Talk("EHLO c\r\nNOOP\r\n"), HasSubstr("421 4.3.2 "));
}

// Content cases: the client waits for 354 as it must.
struct ContentCase {
  std::string name;
  std::string content;
  std::string expected;
};
class SmtpContentTest : public SmtpSessionTest {
 protected:
  std::string Submit(const std::string& content) {
    ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
    Surroundings around{backend_, drain_, [this] { return settings_; }, [this](std::string_view) { return rights_; },
                        "mx.here.test"};
    loop_.Spawn("client", Client(peer, content));
    ::posthorn::testing::RunTask(loop_, SmtpSession::Serve(std::make_shared<SmtpSession>(around, peer.TakeConnection(), port_)));
    const std::string& all = peer.received();
    return all.substr(std::min(all.size(), all.find("354 ")));
  }
  static net::Task<void> Client(::posthorn::testing::ScriptPeer& peer, std::string content) {
    peer.Send(base::StrCat(kMail, "DATA\r\n"));
    EXPECT_TRUE(co_await peer.WaitReceived("354 "));
    peer.Send(content);
    peer.HalfClose();
  }
};
INSTANTIATE_TEST_SUITE_P(Chunks, SmtpContentTest, ::testing::Values(1, 7, 0),
                         [](const auto& info) { return base::StrCat("Of", info.param); });

TEST_P(SmtpContentTest, NoShapeOfSmugglingGetsThrough) {
  for (const std::string end : {"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\n.\r", "\r\n.\r"}) {
    backend_.entries.clear();
    const std::string answer =
        Submit(base::StrCat("Subject: a\r\n\r\nbody", end, "MAIL FROM:<evil@far.test>\r\nRCPT TO:<bob@here.test>\r\n",
                            "DATA\r\nsmuggled\r\n.\r\n"));
    EXPECT_THAT(answer, HasSubstr("550 5.5.2 ")) << base::Hex(end);
    EXPECT_THAT(backend_.entries, IsEmpty()) << base::Hex(end);
  }
}

TEST_P(SmtpContentTest, NulIsRefused) {
  EXPECT_THAT(Submit(std::string("a\0b\r\n.\r\n", 8)), HasSubstr("550 5.6.0 "));
}

TEST_P(SmtpContentTest, TooBigIsRefusedAfterItsEndAndTheSessionGoesOn) {
  settings_->set_max_message_size(100000);
  std::string content;
  for (int i = 0; i < 3000; ++i) content += "0123456789012345678901234567890123456789012345\r\n";
  const std::string answer = Submit(content + ".\r\nNOOP\r\n");
  EXPECT_THAT(answer, HasSubstr("552 5.3.4 "));
  EXPECT_THAT(answer, HasSubstr("250 2.0.0 OK\r\n"));
  EXPECT_THAT(backend_.entries, IsEmpty());
}

TEST_P(SmtpContentTest, LargeMessagesStreamWhole) {
  std::string content;
  for (int i = 0; i < 4000; ++i) content += base::StrCat("line ", i, " 0123456789012345678901234567890123456789\r\n");
  EXPECT_THAT(Submit(content + ".\r\n"), HasSubstr("250 2.0.0 OK queued"));
  EXPECT_EQ(backend_.stored, content);
  EXPECT_EQ(backend_.scanned, content);
}

TEST_P(SmtpContentTest, FailuresOfOursAreTemporary) {
  backend_.put = base::Exhausted("disk full");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("452 4.3.1 "));
  backend_.put = base::Unavailable("store is away");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("451 4.3.0 "));
  backend_.put = PutReply();
  backend_.queue_status = base::Unavailable("queue is away");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("451 4.3.0 "));
}

TEST_P(SmtpContentTest, VerdictsBecomeRepliesAndHeaders) {
  backend_.verdict->set_action(Verdict::REJECT);
  backend_.verdict->set_reply_text("No thanks");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("554 5.7.1 No thanks"));
  EXPECT_THAT(backend_.entries, IsEmpty());
  backend_.verdict = Verdict();
  backend_.verdict->set_action(Verdict::MARK);
  backend_.verdict->set_score(7.25);
  backend_.verdict->add_tests()->set_name("gtube");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("250 2.0.0 "));
  ASSERT_THAT(backend_.entries, SizeIs(1));
  EXPECT_THAT(backend_.entries[0].prefix(), StartsWith("X-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=7.2"));
}

TEST_P(SmtpContentTest, AScorerThatIsAwayNeverLosesMail) {
  backend_.verdict = base::Unavailable("away");
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("250 2.0.0 "));
  ASSERT_THAT(backend_.entries, SizeIs(1));
  EXPECT_THAT(backend_.entries[0].prefix(), HasSubstr("X-Spam-Status: Unknown"));
  settings_->set_spam_down_defers(true);
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("451 4.3.0 "));
}

TEST_P(SmtpContentTest, MailLoopsEnd) {  // [RFC5321 6.3]
  backend_.put->set_received_count(60);
  EXPECT_THAT(Submit("x\r\n.\r\n"), HasSubstr("554 5.4.6 "));
}

}  // namespace
}  // namespace posthorn::smtp_gateway
