// Messages: from DATA to the reply to the final dot.

#include "smtp-gateway/session/session_fixture.h"

namespace posthorn::smtp_gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// The client waits for 354 as it must.
class SmtpContentTest : public SmtpSessionTest {
 protected:
  std::string Submit(const std::string& content) {
    ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
    loop_.Spawn("client", Client(peer, content));
    Serve(peer);
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

// [RFC5321 3.3]
TEST_P(SmtpContentTest, AMessageIsStoredQueuedAndThenAnswered) {
  const std::string answer = Talk(base::StrCat(kMail, "DATA\r\n"));
  EXPECT_THAT(answer, HasSubstr("354 "));
  ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
  backend_.put->mutable_blob()->set_key(42);
  loop_.Spawn("client", [](::posthorn::testing::ScriptPeer& client) -> net::Task<void> {
    client.Send(kMail);
    client.Send("DATA\r\n");
    EXPECT_TRUE(co_await client.WaitReceived("354 "));
    client.Send("Subject: hi\r\n\r\n..dot\r\nline\r\n.\r\nQUIT\r\n");
    EXPECT_TRUE(co_await client.WaitReceived("221 "));
  }(peer));
  Serve(peer);
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

TEST_P(SmtpContentTest, NoShapeOfSmugglingGetsThrough) {
  for (const std::string end :
       {"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\n.\r", "\r\n.\r"}) {
    backend_.entries.clear();
    const std::string answer = Submit(base::StrCat(
        "Subject: a\r\n\r\nbody", end, "MAIL FROM:<evil@far.test>\r\nRCPT TO:<bob@here.test>\r\n",
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
  for (int i = 0; i < 4000; ++i)
    content += base::StrCat("line ", i, " 0123456789012345678901234567890123456789\r\n");
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
  EXPECT_THAT(backend_.entries[0].prefix(),
              StartsWith("X-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=7.2"));
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
