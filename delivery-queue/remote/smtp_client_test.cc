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
  net::Loop loop_;
  std::string received_;
};

const std::string kHello = "220 far.test\r\n250-far.test\r\n250 PIPELINING\r\n";
const std::string kPlain = "220-far.test\r\n220 hello\r\n500 what?\r\n250 far.test\r\n";

std::vector<int> Codes(const Result& result) {
  std::vector<int> codes;
  for (const mail::Reply& reply : result.replies) codes.push_back(reply.code);
  return codes;
}

TEST_P(SmtpClientTest, EveryDialogueHasItsOutcome) {
  const std::vector<Case> cases = {
      {"all well",
       kHello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250-2.0.0 taken\r\n250 2.0.0 done\r\n",
       {250, 250},
       true,
       true},
      {"one after the other",
       kPlain + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n",
       {250, 250},
       true,
       true},
      {"one refused",
       kHello + "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n250 done\r\n",
       {550, 250},
       true,
       true},
      {"all refused", kHello + "250 ok\r\n550 no\r\n450 later\r\n250 reset\r\n", {550, 450}},
      {"sender refused", kHello + "553 no\r\n503 what\r\n503 what\r\n250 reset\r\n", {553, 553}},
      {"sender refused in turn", kPlain + "451 no\r\n250 reset\r\n", {451, 451}},
      {"DATA refused",
       kHello + "250 ok\r\n250 ok\r\n250 ok\r\n451 no\r\n250 reset\r\n",
       {451, 451}},
      {"DATA answered 250", kHello + "250 ok\r\n250 ok\r\n250 ok\r\n250 no\r\n", {451, 451}, false},
      {"message refused",
       kHello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 5.7.1 spam\r\n",
       {554, 554},
       true,
       true},
      {"gone after the message",
       kHello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
       {0, 0},
       false,
       true},
      {"gone inside the last reply",
       kHello + "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250-2.0.0 ta",
       {0, 0},
       false,
       true},
      {"gone at DATA", kHello + "250 ok\r\n250 ok\r\n250 ok\r\n", {0, 0}, false},
      {"gone at RCPT", kHello + "250 ok\r\n250 ok\r\n", {0, 0}, false},
      {"closing at RCPT", kPlain + "250 ok\r\n250 ok\r\n421 bye\r\n", {0, 421}, false},
      {"not SMTP", kHello + "HTTP/1.1 400 Bad Request\r\n", {0, 0}, false},
      {"codes that differ", kHello + "250-ok\r\n550 no\r\n", {0, 0}, false},
  };
  for (const Case& each : cases) {
    const Result result = Run(each.replies);
    EXPECT_EQ(Codes(result), each.codes) << each.name;
    EXPECT_EQ(result.connection.ok(), each.usable) << each.name << ": " << result.connection;
    EXPECT_EQ(result.after_dot, each.after_dot) << each.name;
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
