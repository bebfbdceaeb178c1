// Clients that inject, stall, go away and exceed limits; sessions that wait for them are bounded in
// memory and time.

#include <gtest/gtest.h>

#include "imap-gateway/testing/imap_fixture.h"
#include "lib/base/strings.h"
#include "lib/net/tls_context.h"

namespace posthorn::imap_gateway {
namespace {

using std::chrono::milliseconds;

const char kMail[] = "From: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n";

class ImapPlainOrTls : public ::testing::TestWithParam<size_t> {
 protected:
  ImapPlainOrTls() : f_(GetParam()) {
    f_.port->mode = Port::Tls::kStartTlsRequired;
    f_.port->tls = *net::TlsContext::Server({*net::TlsContext::MakeSelfSigned({"imap.test"}, 1)});
  }
  ImapFixture f_;
};
INSTANTIATE_TEST_SUITE_P(Chunks, ImapPlainOrTls, ::testing::Values(1, 7, 0));

// [RFC9051 6.2.1, 11.1] what a man in the middle sends behind STARTTLS is never taken for the
// client's.
TEST_P(ImapPlainOrTls, DropsWhatCameInClearTextBehindStartTls) {
  testing::ScriptPeer& peer = f_.Connect(1).peer;
  peer.SendAfterTls("c CAPABILITY\r\nd LOGIN ann secret\r\n");
  peer.Send("a STARTTLS\r\nb LOGIN mallory x\r\nb2 NOOP\r\n");
  f_.Chat(R"(
    S1: * OK [CAPABILITY * STARTTLS LOGINDISABLED] *
    S1: a OK *
    S1: * CAPABILITY *AUTH=PLAIN*
    S1: c OK *
    S1: d OK *
  )");
  EXPECT_EQ(peer.received().find("b "), std::string::npos);
  EXPECT_EQ(peer.received().find("b2 "), std::string::npos);
  EXPECT_EQ(f_.gate.checks, 1u);
}

TEST_P(ImapPlainOrTls, DropsALiteralBegunInClearText) {
  testing::ScriptPeer& peer = f_.Connect(1).peer;
  peer.SendAfterTls("c NOOP\r\n");
  peer.Send("a STARTTLS\r\nb LOGIN {3+}\r\nann {6+}\r\nsec");
  f_.Chat("S1: * OK *\nS1: a OK *\nS1: c OK *");
  EXPECT_EQ(f_.gate.checks, 0u);
}

// [RFC9051 6.2.3]
TEST_P(ImapPlainOrTls, TakesNoPasswordInClearTextWhereTlsIsRequired) {
  f_.Chat(R"(
    S1: * OK [CAPABILITY * LOGINDISABLED] *
    C1: a LOGIN ann secret
    S1: a NO [PRIVACYREQUIRED] *
    C1: b AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=
    S1: b NO [PRIVACYREQUIRED] *
    C1: c AUTHENTICATE PLAIN
    S1: c NO [PRIVACYREQUIRED] *
  )");
  EXPECT_EQ(f_.gate.checks, 0u);
}

// [RFC9051 5.4]
TEST(ImapLimits, LogsAnIdleClientOutWithBye) {
  ImapFixture f;
  f.config.idle_timeout = milliseconds(30);
  f.ApplyConfig();
  f.Chat("L1:\nS1: * BYE Idle for too long\nS1: <closed>");
}

TEST(ImapLimits, LogsAClientOutThatDoesNotLogIn) {
  ImapFixture f;
  f.config.login_timeout = milliseconds(30);
  f.ApplyConfig();
  f.Chat("S1: * OK *\nS1: * BYE Login took too long\nS1: <closed>");
}

TEST(ImapLimits, EndsASessionWhoseAnnouncedLiteralNeverComes) {
  for (const char* command :
       {"a SELECT {5}\r\n", "a APPEND INBOX {5000}\r\n", "a APPEND INBOX {5000+}\r\nhalf"}) {
    ImapFixture f;
    f.config.dialogue_timeout = milliseconds(30);
    f.ApplyConfig();
    f.LogIn(1);
    f.Connect(1).peer.Send(command);
    std::string last;
    for (std::string line = f.NextLine(1); line != "<closed>"; line = f.NextLine(1)) {
      last = line;
      ASSERT_NE(line, "<nothing>") << command;
    }
    EXPECT_TRUE(last.starts_with("* BYE ")) << command << ": " << last;
    EXPECT_TRUE(f.store.mailbox("INBOX").messages.empty());
  }
}

TEST(ImapLimits, ClientThatNeverReadsCostsLittleAndIsClosed) {
  ImapFixture f;
  f.store.bytes_per_chunk = 64 << 10;
  const std::string large = kMail + std::string(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) f.store.AddMessage("INBOX", large);
  f.config.dialogue_timeout = milliseconds(50);
  f.ApplyConfig();
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *");
  testing::ScriptPeer& peer = f.Connect(1).peer;
  peer.StopReading();
  // Much more is pipelined than the session may keep in memory.
  for (int i = 0; i < 50; ++i) peer.Send("b FETCH 1:* BODY.PEEK[]\r\n");
  EXPECT_TRUE(testing::RunTask(f.loop, peer.WaitClosed()));
  EXPECT_LT(f.store.body_bytes, 1u << 20);
}

// [RFC9051 5.5, 7.5.1] numbers must not move while a command uses them.
TEST(ImapLimits, TellsOfNoExpungeWhileFetchIsUnderWay) {
  ImapFixture f;
  f.store.bytes_per_chunk = 64 << 10;
  const std::string large = kMail + std::string(200 << 10, 'x');
  for (int i = 0; i < 6; ++i) f.store.AddMessage("INBOX", large);
  f.Chat("L1:\nL2:\nL3:");
  for (const int client : {1, 2, 3}) f.Do(client, "SELECT INBOX");
  f.Connect(1).peer.StopReading();
  f.Connect(1).peer.Send(
      "b FETCH 1:6 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[TEXT])\r\n");
  f.Settle();
  f.Do(2, "STORE 1,3 +FLAGS.SILENT (\\Deleted)");
  f.Do(2, "EXPUNGE");
  f.Do(3, "UID STORE 5 +FLAGS.SILENT (\\Deleted)");
  f.Do(3, "EXPUNGE");
  f.Settle();
  f.Connect(1).peer.ResumeReading();
  std::vector<std::string> uids;
  std::string line;
  for (line = f.NextLine(1); !line.starts_with("b "); line = f.NextLine(1)) {
    EXPECT_EQ(line.find("EXPUNGE"), std::string::npos) << line;
    if (line.starts_with("* ")) uids.push_back(line.substr(0, line.find(" BODY")));
    ASSERT_NE(line[0], '<');
  }
  for (size_t i = 0; i < uids.size(); ++i) {
    const std::string number = uids[i].substr(2, 1);
    EXPECT_EQ(uids[i], base::StrCat("* ", number, " FETCH (UID ", number));
  }
  EXPECT_EQ(f.Do(1, "STORE 2 +FLAGS (\\Seen)").find("EXPUNGE"), std::string::npos);
  EXPECT_EQ(f.Do(1, "SEARCH ALL").find("EXPUNGE"), std::string::npos);
  const std::string told = f.Do(1, "NOOP");
  EXPECT_TRUE(told.starts_with("* 5 EXPUNGE\n* 3 EXPUNGE\n* 1 EXPUNGE\n")) << told;
}

TEST(ImapLimits, TellsProgressOfALongSearchAndEndsItWhenTheClientGoes) {
  ImapFixture f;
  f.store.AddMessage("INBOX", kMail);
  f.store.endless_search = true;
  f.config.progress_every = milliseconds(1);
  f.ApplyConfig();
  f.Chat(
      "L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *\nC1: b SEARCH BODY x\nS1: * OK Still "
      "searching");
  EXPECT_EQ(f.store.searches, 1);
  f.Connect(1).peer.Reset();
  f.Chat("S1: ...\nS1: <closed>");
  EXPECT_EQ(f.store.searches, 0);
}

TEST(ImapLimits, EndsALongSearchWhenTheServerStops) {
  ImapFixture f;
  f.store.AddMessage("INBOX", kMail);
  f.store.endless_search = true;
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *\nC1: b SEARCH BODY x");
  f.Settle();
  f.drain.Begin();
  f.Chat("S1: * BYE *\nS1: <closed>");
  EXPECT_EQ(f.store.searches, 0);
}

TEST(ImapLimits, HeaderBeyondTheLimitIsRefusedNotCut) {
  ImapFixture f;
  f.store.bytes_per_chunk = 1 << 20;
  std::string header = "Subject: huge\r\n";
  const std::string field = base::StrCat("X-Filler: ", std::string(900, 'x'), "\r\n");
  while (header.size() < (9u << 20)) header += field;
  f.store.AddMessage("INBOX", header + "\r\nbody\r\n");
  f.store.AddMessage("INBOX", kMail);
  f.Chat(R"(
    L1:
    C1: a SELECT INBOX
    S1: ...
    S1: a OK *
    C1: b FETCH 1:2 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])
    S1: * 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] NIL)
    S1: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] {18}
    S1: Subject: hello
    S1:
    S1: )
    S1: b NO [LIMIT] *
  )");
}

}  // namespace
}  // namespace posthorn::imap_gateway
