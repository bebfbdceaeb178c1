// The dialogue itself: login, limits, errors, the end.

#include "imap-gateway/testing/imap_chat.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kChunks[] = {1, 7, 0};
INSTANTIATE_TEST_SUITE_P(Chunks, ImapChat, ::testing::ValuesIn(kChunks));

// [RFC9051 6.2.3]
TEST_P(ImapChat, LogsInSelectsFetchesAndLeaves) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail);
  f.Chat(R"(
    S1: * OK [CAPABILITY IMAP4rev1 *
    C1: a1 LOGIN ann wrong
    S1: a1 NO [AUTHENTICATIONFAILED] *
    C1: a2 LOGIN ann {6}
    S1: + *
    C1: secret
    S1: a2 OK [CAPABILITY *
    C1: a3 SELECT inbox
    S1: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
    S1: * OK [PERMANENTFLAGS *
    S1: * 1 EXISTS
    S1: * 0 RECENT
    S1: * OK [UNSEEN 1] *
    S1: * OK [UIDVALIDITY 1001] *
    S1: * OK [UIDNEXT 2] *
    S1: * OK [HIGHESTMODSEQ *
    S1: a3 OK [READ-WRITE] *
    C1: a4 FETCH 1 (UID FLAGS RFC822.SIZE)
    S1: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 45)
    S1: a4 OK *
    C1: a5 NOOP
    S1: a5 OK NOOP completed
    C1: a6 LOGOUT
    S1: * BYE *
    S1: a6 OK *
    S1: <closed>
  )");
}

TEST_P(ImapChat, AuthenticatesWithSasl) {
  ImapFixture f(GetParam());
  f.Chat(R"(
    S1: ...
    S1: * OK *
    C1: a AUTHENTICATE PLAIN
    S1: +*
    C1: AGFubgBzZWNyZXQ=
    S1: a OK *
    S2: * OK *
    C2: a AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=
    S2: a OK *
    S3: * OK *
    C3: a AUTHENTICATE LOGIN
    S3: + VXNlcm5hbWU6
    C3: YW5u
    S3: + UGFzc3dvcmQ6
    C3: c2VjcmV0
    S3: a OK *
    S4: * OK *
    C4: a AUTHENTICATE PLAIN
    S4: +*
    C4: *
    S4: a BAD *
    C4: b AUTHENTICATE CRAM-MD5
    S4: b NO *
  )");
}

TEST_P(ImapChat, RefusesWhatIsNotAllowedYet) {
  ImapFixture f(GetParam());
  f.config.plaintext_login = ImapConfig::PlaintextLogin::kNever;
  f.ApplyConfig();
  f.Chat(R"(
    S1: * OK [CAPABILITY * LOGINDISABLED] *
    C1: a SELECT INBOX
    S1: a BAD *
    C1: b LOGIN ann secret
    S1: b NO [PRIVACYREQUIRED] *
    C1: c STARTTLS
    S1: c BAD *
    C1: d FROBNICATE
    S1: d BAD *
    C1: GET
    S1: * BAD *
  )");
  EXPECT_EQ(f.gate.checks, 0U);
}

TEST_P(ImapChat, EndsAfterTooManyErrors) {
  ImapFixture f(GetParam());
  f.config.max_errors = 2;
  f.ApplyConfig();
  f.Chat(
      "S1: * OK *\nC1: x\nS1: * BAD *\nC1: y\nS1: * BAD *\nC1: z\nS1: * BAD *\nS1: * BYE Too many "
      "errors\nS1: <closed>");
}

TEST_P(ImapChat, RefusesLinesAndLiteralsBeyondTheLimit) {
  ImapFixture f(GetParam());
  f.Chat("S1: * OK *\nC1: a LOGIN " + std::string(10000, 'x') + "\nS1: * BAD [LIMIT] *\n" +
         "C1: b LOGIN {9000}\nS1: b BAD [LIMIT] *\nC1: c NOOP\nS1: c OK *\n" +
         "C1: d LOGIN {9000+}\nS1: * BYE [LIMIT] *");
}

TEST(Imap, SaysByeWhenAnAccountIsDisabled) {
  ImapFixture f;
  f.Chat("L1:\nC1: a IDLE\nS1: + *");
  f.gate.EndAll();
  f.Chat("S1: * BYE *\nS1: <closed>");
}

TEST(Imap, SaysByeAtDrain) {
  ImapFixture f;
  f.Chat("L1:\nS2: * OK *");
  f.drain.Begin();
  f.Chat("S1: * BYE *\nS1: <closed>\nS2: * BYE *\nS2: <closed>\nS3: * BYE *\nS3: <closed>");
}

TEST(Imap, AnswersUnavailableWhileTheStoreIsAway) {
  ImapFixture f;
  f.store.AddMessage("INBOX", kMail);
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *");
  f.store.down = true;
  f.store.BreakStreams();
  // What the view knows goes on; what needs the store does not.
  f.Chat(R"(
    C1: b FETCH 1 FLAGS
    S1: * 1 FETCH (FLAGS ())
    S1: b OK *
    C1: c STORE 1 +FLAGS (\Seen)
    S1: c NO [UNAVAILABLE] *
    C1: d FETCH 1 ENVELOPE
    S1: d NO [UNAVAILABLE] *
  )");
  f.store.down = false;
  f.store.AddMessage("INBOX", kMail);
  f.Chat("C1: e IDLE\nS1: ...\nS1: * 2 EXISTS");
}

TEST(Imap, SaysByeWhenTheOutcomeOfAWriteIsUnknown) {
  ImapFixture f;
  f.store.AddMessage("INBOX", kMail);
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *");
  f.store.writes_unknown = true;
  f.Chat("C1: b STORE 1 +FLAGS (\\Seen)\nS1: * BYE *\nS1: <closed>");
}

}  // namespace
}  // namespace posthorn::imap_gateway
