#include "delivery-queue/remote/smtp_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class OneBody : public BodyStream {
 public:
  explicit OneBody(std::string body) : body_(std::move(body)) {}
  net::Task<absl::StatusOr<std::string>> Next() override { co_return std::exchange(body_, {}); }

 private:
  std::string body_;
};

struct Case {
  std::string name;
  std::string replies;  // of the server, from the greeting on
  std::vector<int> codes;
  bool usable = true;
  bool after_dot = false;
};

net::Task<Result> Dialogue(SmtpClient& client) {
  OneBody body("Subject: x\r\n\r\n.\r\nend");
  Transaction transaction;
  transaction.sender = "jo@us.test";
  transaction.recipients = {{"a@far.test", "", ""}, {"b@far.test", "NEVER", "rfc822;b"}};
  transaction.size = 100;
  transaction.body_8bit = true;
  transaction.body = &body;
  Result result;
  auto greeting = co_await client.ReadGreeting();
  if (greeting.ok()) greeting = co_await client.Hello("us.test");
  if (!greeting.ok()) {
    result.connection = greeting.status();
    co_return result;
  }
  co_return co_await client.Send(transaction);
}

class SmtpClientTest : public ::testing::TestWithParam<size_t> {
 protected:
  Result Run(const std::string& replies) {
    testing::ScriptPeer peer(loop_, GetParam());
    SmtpClient client(peer.TakeConnection());
    peer.Send(replies);
    peer.HalfClose();
    Result result = testing::RunTask(loop_, Dialogue(client));
    received_ = peer.received();
    return result;
  }
  void Check(const std::vector<Case>& cases) {
    for (const Case& each : cases) {
      const Result result = Run(each.replies);
      std::vector<int> codes;
      for (const mail::Reply& reply : result.replies) codes.push_back(reply.code);
      EXPECT_EQ(codes, each.codes) << each.name;
      EXPECT_EQ(result.connection.ok(), each.usable) << each.name << ": " << result.connection;
      EXPECT_EQ(result.after_dot, each.after_dot) << each.name;
    }
  }
  net::Loop loop_;
  std::string received_;
};

const std::string kHello = "220 far.test\r\n250-far.test\r\n250 PIPELINING\r\n";
const std::string kPlain = "220-far.test\r\n220 hello\r\n500 what?\r\n250 far.test\r\n";
const std::string kAccepted = "250 ok\r\n250 ok\r\n250 ok\r\n";
const std::string kGo = kAccepted + "354 go\r\n";

TEST_P(SmtpClientTest, EveryDialogueHasItsOutcome) {
  Check({
      {"all well", kHello + kGo + "250-2.0.0 taken\r\n250 2.0.0 done\r\n", {250, 250}, true, true},
      {"one after the other", kPlain + kGo + "250 done\r\n", {250, 250}, true, true},
      {"RCPT answered 251 and 252",
       kHello + "250 ok\r\n251 will forward\r\n252 maybe\r\n354 go\r\n250 done\r\n",
       {250, 250},
       true,
       true},
      {"message refused", kHello + kGo + "554 5.7.1 spam\r\n", {554, 554}, true, true},
      {"message deferred", kHello + kGo + "451 later\r\n", {451, 451}, true, true},
      {"message refused for one that RCPT refused before",
       kHello + "250 ok\r\n450 later\r\n250 ok\r\n354 go\r\n554 spam\r\n",
       {450, 554},
       true,
       true},
      {"message answered 354", kHello + kGo + "354 go on\r\n", {354, 354}, true, true},
      {"closing after the message", kHello + kGo + "421 bye\r\n", {421, 421}, false, true},
  });
}

TEST_P(SmtpClientTest, EachRecipientHasItsOwnReply) {  // [RFC5321 3.3]
  const std::string done = "354 go\r\n250 done\r\n";
  Check({
      {"first refused", kHello + "250 ok\r\n550 no\r\n250 ok\r\n" + done, {550, 250}, true, true},
      {"second deferred", kHello + "250 ok\r\n250 ok\r\n450 no\r\n" + done, {250, 450}, true, true},
      {"in turn", kPlain + "250 ok\r\n250 ok\r\n552 no\r\n" + done, {250, 552}, true, true},
      {"all refused",
       kHello + "250 ok\r\n550 no\r\n450 later\r\n503 no recipients\r\n250 reset\r\n",
       {550, 450}},
      {"all refused in turn", kPlain + "250 ok\r\n550 no\r\n450 no\r\n250 reset\r\n", {550, 450}},
      {"sender refused",
       kHello + "553 no\r\n503 what\r\n503 what\r\n503 what\r\n250 reset\r\n",
       {553, 553}},
      {"sender refused in turn", kPlain + "451 no\r\n250 reset\r\n", {451, 451}},
      {"sender answered 354",
       kHello + "354 go\r\n250 ok\r\n250 ok\r\n503 no\r\n250 reset\r\n",
       {354, 354}},
      {"DATA refused", kHello + kAccepted + "451 no\r\n250 reset\r\n", {451, 451}},
      {"DATA refused in turn", kPlain + kAccepted + "554 no\r\n250 reset\r\n", {554, 554}},
      {"DATA refused after one refused recipient",
       kHello + "250 ok\r\n550 no\r\n250 ok\r\n451 no\r\n250 reset\r\n",
       {550, 451}},
      {"DATA answered 250", kHello + kAccepted + "250 no\r\n", {451, 451}, false},
      {"RSET refused", kHello + kAccepted + "451 no\r\n500 what?\r\n", {451, 451}, false},
  });
}

TEST_P(SmtpClientTest, ALostSessionLeavesNoRecipientBehind) {
  Check({
      {"gone after the message", kHello + kGo, {0, 0}, false, true},
      {"gone inside the last reply", kHello + kGo + "250-2.0.0 ta", {0, 0}, false, true},
      {"gone between the lines of the last reply",
       kHello + kGo + "250-2.0.0 ta\r\n",
       {0, 0},
       false,
       true},
      {"gone at DATA", kHello + kAccepted, {0, 0}, false},
      {"gone at RCPT", kHello + "250 ok\r\n250 ok\r\n", {0, 0}, false},
      {"gone at RCPT after a refusal", kHello + "250 ok\r\n550 no\r\n", {550, 0}, false},
      {"gone at MAIL", kHello, {0, 0}, false},
      {"gone at RSET", kHello + kAccepted + "451 no\r\n", {451, 451}, false},
      {"closing at MAIL", kHello + "421 bye\r\n", {421, 421}, false},
      {"closing at MAIL in turn", kPlain + "421 bye\r\n", {421, 421}, false},
      {"closing at RCPT", kHello + "250 ok\r\n250 ok\r\n421 bye\r\n", {421, 421}, false},
      {"closing at RCPT in turn", kPlain + "250 ok\r\n250 ok\r\n421 bye\r\n", {421, 421}, false},
      {"closing after a refusal", kHello + "250 ok\r\n550 no\r\n421 bye\r\n", {550, 421}, false},
      {"closing at DATA", kHello + kAccepted + "421 bye\r\n", {421, 421}, false},
  });
}

TEST_P(SmtpClientTest, OddRepliesNeitherCountNorHurt) {
  const std::string megabyte(1'000'000, 'x');
  std::string lines;
  for (int i = 0; i < 900; ++i) lines += "250-" + std::string(1000, 'x') + "\r\n";
  std::string long_but_fine;
  for (int i = 0; i < 50; ++i) long_but_fine += "250-" + std::string(1000, 'x') + "\r\n";
  const std::string nul("\0", 1);
  Check({
      {"not SMTP", kHello + "HTTP/1.1 400 Bad Request\r\n", {0, 0}, false},
      {"codes that differ", kHello + "250-ok\r\n550 no\r\n", {0, 0}, false},
      {"a line of 1 MB", kHello + "250 " + megabyte + "\r\n" + kGo, {0, 0}, false},
      {"1 MB without line end", kHello + megabyte, {0, 0}, false},
      {"many lines", kHello + kGo + lines + "250 done\r\n", {0, 0}, false, true},
      {"some lines", kHello + kGo + long_but_fine + "250 done\r\n", {250, 250}, true, true},
      {"NUL in the text", kHello + kGo + "250 do" + nul + "ne\r\n", {250, 250}, true, true},
      {"NUL in the code", kHello + kGo + "2" + nul + "0 done\r\n", {0, 0}, false, true},
      {"a code alone", kHello + kGo + "250\r\n", {250, 250}, true, true},
      {"four digits", kHello + kGo + "2500 done\r\n", {0, 0}, false, true},
      {"unknown class", kHello + kGo + "650 done\r\n", {0, 0}, false, true},
      {"bare line feeds", kHello + kGo + "250-do\n250 ne\r\n250 ok\r\n", {250, 250}, true, true},
  });
}

// [RFC2920 3.1] nobody wants it, yet the server waits for a message.
TEST_P(SmtpClientTest, AMessageForNobodyIsEndedEmpty) {
  Check({{"354",
          kHello + "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n554 no recipients\r\n",
          {550, 550}},
         {"and taken", kHello + "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n250 ok\r\n", {550, 550}},
         {"and gone", kHello + "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n", {550, 550}, false}});
  EXPECT_THAT(received_, ::testing::EndsWith("DATA\r\n.\r\n"));
}

// A peer that answers when it has seen something; nothing else is ever sent.
net::Task<void> AnswerAfter(testing::ScriptPeer& peer, std::string seen, std::string replies,
                            bool& in_time) {
  in_time = co_await peer.WaitReceived(std::move(seen));
  peer.Send(replies);
}

TEST_P(SmtpClientTest, TheWholeEnvelopeAndDataGoOutBeforeAnyReply) {  // [RFC2920 3.1]
  testing::ScriptPeer peer(loop_, GetParam());
  SmtpClient client(peer.TakeConnection());
  peer.Send(kHello);
  bool in_time = false;
  loop_.Spawn("peer", AnswerAfter(peer, "DATA\r\n", kGo + "250 done\r\n", in_time));
  const Result result = testing::RunTask(loop_, Dialogue(client));
  EXPECT_TRUE(in_time);
  EXPECT_TRUE(result.connection.ok());
}

TEST_P(SmtpClientTest, WithoutPipeliningEachCommandWaitsForItsReply) {
  Run(kPlain + "250 ok\r\n550 no\r\n550 no\r\n250 reset\r\n");
  EXPECT_THAT(received_, Not(HasSubstr("DATA")));
  EXPECT_THAT(received_, ::testing::EndsWith("RSET\r\n"));
}

constexpr std::chrono::milliseconds kShort{20};

TEST_P(SmtpClientTest, EveryWaitHasALimit) {  // [RFC5321 4.5.3.2]
  struct Silence {
    std::string name;
    std::string replies;
    std::chrono::milliseconds Patience::* limit;
    std::vector<int> codes;
    bool after_dot = false;
  };
  const std::vector<Silence> silences = {
      {"greeting", "", &Patience::greeting, {}},
      {"half a greeting", "220-far.test\r\n", &Patience::greeting, {}},
      {"EHLO", "220 far.test\r\n", &Patience::command, {}},
      {"MAIL", kHello, &Patience::command, {0, 0}},
      {"RCPT", kPlain + "250 ok\r\n550 no\r\n", &Patience::command, {550, 0}},
      {"DATA", kHello + kAccepted, &Patience::data, {0, 0}},
      {"DATA in turn", kPlain + kAccepted, &Patience::data, {0, 0}},
      {"final dot", kHello + kGo, &Patience::final_dot, {0, 0}, true},
  };
  for (const Silence& each : silences) {
    testing::ScriptPeer peer(loop_, GetParam());
    Patience patience;
    patience.*each.limit = kShort;
    SmtpClient client(peer.TakeConnection(), patience);
    peer.Send(each.replies);
    const Result result = testing::RunTask(loop_, Dialogue(client));
    EXPECT_EQ(result.connection.code(), absl::StatusCode::kDeadlineExceeded) << each.name;
    std::vector<int> codes;
    for (const mail::Reply& reply : result.replies) codes.push_back(reply.code);
    EXPECT_EQ(codes, each.codes) << each.name;
    EXPECT_EQ(result.after_dot, each.after_dot) << each.name;
  }
}

// One line every few milliseconds, for ever: each comes in time, the reply never does.
net::Task<void> Drip(net::Loop& loop, testing::ScriptPeer& peer, bool& stop) {
  while (!stop) {
    peer.Send("220-wait\r\n");
    co_await net::Sleep(loop, std::chrono::milliseconds(2));
  }
}

TEST_P(SmtpClientTest, AReplyThatDripsIsLimitedAsAWhole) {
  testing::ScriptPeer peer(loop_, GetParam());
  Patience patience;
  patience.greeting = kShort * 2;
  SmtpClient client(peer.TakeConnection(), patience);
  bool stop = false;
  loop_.Spawn("drip", Drip(loop_, peer, stop));
  const Result result = testing::RunTask(loop_, Dialogue(client));
  stop = true;
  EXPECT_EQ(result.connection.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_P(SmtpClientTest, AServerThatNeverReadsIsLeft) {
  testing::ScriptPeer peer(loop_, GetParam());
  Patience patience;
  patience.command = kShort;
  SmtpClient client(peer.TakeConnection(), patience);
  peer.Send(kHello);
  peer.StopReading();
  const Result result = testing::RunTask(loop_, Dialogue(client));
  EXPECT_EQ(result.connection.code(), absl::StatusCode::kDeadlineExceeded);
}

net::Task<void> StopAtData(testing::ScriptPeer& peer, std::string last_words) {
  co_await peer.WaitReceived("DATA\r\n");
  peer.StopReading();
  peer.Send(kGo + last_words);
}

TEST_P(SmtpClientTest, AServerThatStopsReadingInTheMessageMayHaveSaidWhy) {
  for (const auto& [last_words, code] :
       std::vector<std::pair<std::string, int>>{{"", 0}, {"452 4.3.1 disk full\r\n", 452}}) {
    testing::ScriptPeer peer(loop_, GetParam());
    Patience patience;
    patience.block = patience.last_words = kShort;
    SmtpClient client(peer.TakeConnection(), patience);
    peer.Send(kHello);
    loop_.Spawn("peer", StopAtData(peer, last_words));
    const Result result = testing::RunTask(loop_, Dialogue(client));
    EXPECT_EQ(result.connection.code(), absl::StatusCode::kDeadlineExceeded);
    ASSERT_EQ(result.replies.size(), 2U);
    EXPECT_EQ(result.replies[0].code, code);
    EXPECT_EQ(result.replies[1].code, code);
  }
}

TEST_P(SmtpClientTest, TheMessageIsWrittenWithDotsDoubledAndEndsWithADot) {  // [RFC5321 4.5.2]
  Run(kHello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n");
  EXPECT_EQ(received_,
            "EHLO us.test\r\nMAIL FROM:<jo@us.test>\r\nRCPT TO:<a@far.test>\r\nRCPT "
            "TO:<b@far.test>\r\nDATA\r\n"
            "Subject: x\r\n\r\n..\r\nend\r\n.\r\n");
}

TEST_P(SmtpClientTest, ExtensionsAreUsedOnlyWhereOffered) {
  Run("220 far.test\r\n250-far.test\r\n250-DSN\r\n250-8BITMIME\r\n250 SIZE 1000\r\n250 ok\r\n250 "
      "ok\r\n250 ok\r\n354 go\r\n250 done\r\n");
  EXPECT_THAT(received_, HasSubstr("MAIL FROM:<jo@us.test> SIZE=100 BODY=8BITMIME\r\n"));
  EXPECT_THAT(received_, HasSubstr("RCPT TO:<b@far.test> NOTIFY=NEVER ORCPT=rfc822;b\r\n"));
}

INSTANTIATE_TEST_SUITE_P(Chunks, SmtpClientTest, ::testing::Values(1, 7, 0));

}  // namespace
}  // namespace posthorn::delivery_queue
