// Transcripts of whole sessions over a store in memory, with the client's bytes in chunks of 1, 7
// and all.

#include <gtest/gtest.h>

#include "imap-gateway/testing/imap_fixture.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kChunks[] = {1, 7, 0};
const char kMail[] = "From: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n";

class ImapChat : public ::testing::TestWithParam<size_t> {};
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

TEST_P(ImapChat, FetchesBodiesAndSetsSeenOnce) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail, 0, "X-Prefix: 1\r\n");
  f.Chat(R"(
    L1:
    C1: a SELECT INBOX
    S1: ...
    S1: a OK *
    C1: b FETCH 1 BODY.PEEK[]
    S1: * 1 FETCH (BODY[] {58}
    S1: X-Prefix: 1
    S1: From: a@example.org
    S1: Subject: hello
    S1:
    S1: body
    S1: )
    S1: b OK *
    C1: c FETCH 1 (BODY.PEEK[HEADER.FIELDS (subject x-prefix)] BODY.PEEK[TEXT]<1.2>)
    S1: * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT X-PREFIX)] {31}
    S1: X-Prefix: 1
    S1: Subject: hello
    S1:
    S1:  BODY[TEXT]<1> {2}
    S1: od)
    S1: c OK *
    C1: d FETCH 1 BODY[TEXT]
    S1: * 1 FETCH (BODY[TEXT] {6}
    S1: body
    S1: )
    S1: * 1 FETCH (UID 1 FLAGS (\Seen))
    S1: d OK *
  )");
}

TEST_P(ImapChat, FetchesEnvelopeAndStructure) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail);
  f.Chat(R"(
    L1:
    C1: a EXAMINE INBOX
    S1: ...
    S1: a OK [READ-ONLY] *
    C1: b UID FETCH 1:* (ENVELOPE BODYSTRUCTURE)
    S1: * 1 FETCH (UID 1 ENVELOPE (NIL "hello" ((NIL NIL "a" "example.org"))*BODYSTRUCTURE ("TEXT" "PLAIN"*)
    S1: b OK *
    C1: c STORE 1 +FLAGS (\Deleted)
    S1: c NO [CANNOT] *
  )");
}

// [RFC9051 7.5.1]
TEST_P(ImapChat, TellsExpungesOnlyWhereTheyAreAllowed) {
  ImapFixture f(GetParam());
  for (int i = 0; i < 4; ++i) f.store.AddMessage("INBOX", kMail);
  f.Chat(
      "L1:\nL2:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *\nC2: a SELECT INBOX\nS2: ...\nS2: a OK *");
  f.Chat(R"(
    C1: b STORE 2 +FLAGS.SILENT (\Deleted)
    S1: b OK *
    C1: c EXPUNGE
    S1: * 2 EXPUNGE
    S1: c OK *
    C2: b FETCH 4 (UID)
    S2: * 4 FETCH (UID 4)
    S2: b OK *
    C2: c FETCH 2 (UID)
    S2: c NO [EXPUNGEISSUED] *
    C2: d SEARCH ALL
    S2: * SEARCH 1 3 4
    S2: d OK *
    C2: e STORE 4 +FLAGS (\Flagged)
    S2: * 4 FETCH (UID 4 FLAGS (\Flagged))
    S2: e OK *
    C2: f NOOP
    S2: * 2 EXPUNGE
    S2: f OK *
    C2: g FETCH 3 (UID FLAGS)
    S2: * 3 FETCH (UID 4 FLAGS (\Flagged))
    S2: g OK *
    C1: d NOOP
    S1: * 3 FETCH (UID 4 FLAGS (\Flagged))
    S1: d OK *
  )");
}

// [RFC9051 6.3.13]
TEST_P(ImapChat, PushesNewsWhileIdling) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail);
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *\nC1: b IDLE\nS1: + *");
  f.store.AddMessage("INBOX", kMail);
  f.Chat("S1: * 2 EXISTS\nS1: * 0 RECENT");
  f.store.SetFlagsNow("INBOX", 1, kSeen);
  f.Chat("S1: * 1 FETCH (UID 1 FLAGS (\\Seen))");
  f.store.ExpungeNow("INBOX", 1);
  f.Chat("S1: * 1 EXPUNGE\nC1: DONE\nS1: b OK *\nC1: c NOOP\nS1: c OK *");
}

TEST_P(ImapChat, AppendsStreamsTheMessageAndSeesIt) {
  ImapFixture f(GetParam());
  f.Chat(R"(
    L1:
    C1: a SELECT INBOX
    S1: ...
    S1: a OK *
    C1: b APPEND INBOX (\Seen $Work) "01-Feb-2020 10:11:12 +0130" {8}
    S1: + *
    C1: A: b
    C1:
    C1:
    S1: * 1 EXISTS
    S1: * 0 RECENT
    S1: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)
    S1: b OK [APPENDUID 1001 1] *
    C1: c FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])
    S1: * 1 FETCH (FLAGS (\Seen $Work) INTERNALDATE " 1-Feb-2020 10:11:12 +0130" BODY[] {8}
    S1: A: b
    S1:
    S1: )
    S1: c OK *
    C1: d APPEND nowhere {5+}
    C1: A: b
    C1:
    S1: d NO [TRYCREATE] *
    C1: e NOOP
    S1: e OK *
  )");
}

TEST_P(ImapChat, StoresBareLineFeedsAsLineEndsAndRefusesNul) {
  ImapFixture f(GetParam());
  f.LogIn(1);
  using std::string_literals::operator""s;
  EXPECT_NE(f.Do(1, "APPEND INBOX {8+}\r\nA: b\n\r\nc").find(" OK [APPENDUID"), std::string::npos);
  EXPECT_EQ(f.store.mailbox("INBOX").messages.at(1).blob, "A: b\r\n\r\nc");
  EXPECT_NE(f.Do(1, "APPEND INBOX {3+}\r\na\0b"s).find(" NO [CANNOT]"), std::string::npos);
  EXPECT_NE(f.Do(1, "NOOP").find(" OK "), std::string::npos);
}

TEST_P(ImapChat, RefusesTooLargeAndMalformedAppends) {
  ImapFixture f(GetParam());
  f.config.max_message_size = 10;
  f.ApplyConfig();
  f.Chat(R"(
    L1:
    C1: a APPEND INBOX {11}
    S1: a NO [TOOBIG] *
    C1: b APPEND INBOX {11+}
    C1: 12345678901
    S1: b NO [TOOBIG] *
    C1: c APPEND INBOX (\Wrong) {3+}
    C1: 123
    S1: c BAD *
    C1: d APPEND INBOX {99999999999999999999999+}
    S1: * BYE [TOOBIG] *
    S1: <closed>
  )");
}

TEST_P(ImapChat, KeepsMailboxesAndLists) {
  ImapFixture f(GetParam());
  f.Chat(R"(
    L1:
    C1: a CREATE Work/2020
    S1: a OK *
    C1: b CREATE "Sent Mail" (USE (\Sent))
    S1: b OK *
    C1: c LIST "" *
    S1: * LIST (\HasNoChildren) "/" INBOX
    S1: * LIST (\HasNoChildren \Sent) "/" "Sent Mail"
    S1: * LIST (\Noselect \HasChildren) "/" Work
    S1: * LIST (\HasNoChildren) "/" Work/2020
    S1: c OK *
    C1: d LIST "" %
    S1: ...
    S1: * LIST (\Noselect \HasChildren) "/" Work
    S1: d OK *
    C1: e SUBSCRIBE Work/2020
    S1: e OK *
    C1: f LSUB "" %
    S1: * LSUB (\Noselect) "/" Work
    S1: f OK *
    C1: g LIST (SUBSCRIBED) "" * RETURN (STATUS (MESSAGES))
    S1: * LIST (\Subscribed \HasNoChildren) "/" Work/2020
    S1: * STATUS Work/2020 (MESSAGES 0)
    S1: g OK *
    C1: h RENAME Work/2020 Caf&AOk-
    S1: h OK *
    C1: i STATUS Caf&AOk- (MESSAGES UIDNEXT UNSEEN)
    S1: * STATUS Caf&AOk- (MESSAGES 0 UIDNEXT 1 UNSEEN 0)
    S1: i OK *
    C1: j DELETE Caf&AOk-
    S1: j OK *
    C1: k SELECT Caf&AOk-
    S1: k NO [NONEXISTENT] *
    C1: l CREATE INBOX
    S1: l NO [ALREADYEXISTS] *
    C1: m LIST "" ""
    S1: * LIST (\Noselect) "/" ""
    S1: m OK *
    C1: n NAMESPACE
    S1: * NAMESPACE (("" "/")) NIL NIL
    S1: n OK *
  )");
}

TEST_P(ImapChat, CopiesAndMoves) {
  ImapFixture f(GetParam());
  f.store.AddMailbox("Archive");
  for (int i = 0; i < 3; ++i) f.store.AddMessage("INBOX", kMail);
  f.Chat(R"(
    L1:
    C1: a SELECT INBOX
    S1: ...
    S1: a OK *
    C1: b COPY 1:2 Archive
    S1: b OK [COPYUID 1002 1:2 1:2] *
    C1: c UID MOVE 2 Archive
    S1: * OK [COPYUID 1002 2 3] *
    S1: * 2 EXPUNGE
    S1: c OK *
    C1: d MOVE 1 Nowhere
    S1: d NO [TRYCREATE] *
    C1: e STATUS Archive (MESSAGES)
    S1: * STATUS Archive (MESSAGES 3)
    S1: e OK *
  )");
}

// [RFC7162 3.1.3]
TEST_P(ImapChat, KeepsModSeqs) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail);
  f.store.AddMessage("INBOX", kMail);
  const uint64_t first = f.store.mailbox("INBOX").messages.at(1).modseq;
  f.Chat("L1:\nC1: a SELECT INBOX (CONDSTORE)\nS1: ...\nS1: a OK *");
  f.store.SetFlagsNow("INBOX", 2, kSeen);
  f.Chat("C1: b STORE 1,2 (UNCHANGEDSINCE " + std::to_string(first + 1) +
         R"() +FLAGS.SILENT (\Flagged)
    S1: * 1 FETCH (UID 1 MODSEQ (*))
    S1: * 2 FETCH (UID 2 FLAGS (\Seen) MODSEQ (*))
    S1: b OK [MODIFIED 2] *
    C1: c FETCH 1:* (UID) (CHANGEDSINCE )" +
         std::to_string(first + 2) + R"()
    S1: * 1 FETCH (UID 1 MODSEQ (*))
    S1: c OK *
    C1: d SEARCH MODSEQ 1
    S1: * SEARCH 1 2 (MODSEQ *)
    S1: d OK *
  )");
}

TEST_P(ImapChat, Searches) {
  ImapFixture f(GetParam());
  f.store.AddMessage("INBOX", kMail, kSeen);
  f.store.AddMessage("INBOX",
                     "From: b@example.org\r\nDate: Mon, 3 Feb 2020 10:00:00 +0100\r\nSubject: "
                     "other\r\n\r\nxyz\r\n");
  f.store.AddMessage("INBOX", kMail, kFlagged);
  f.Chat(R"(
    L1:
    C1: a SELECT INBOX
    S1: ...
    S1: a OK *
    C1: b SEARCH UNSEEN
    S1: * SEARCH 2 3
    S1: b OK *
    C1: c UID SEARCH RETURN (MIN MAX COUNT ALL) OR SEEN FLAGGED
    S1: * ESEARCH (TAG "c") UID MIN 1 MAX 3 ALL 1,3 COUNT 2
    S1: c OK *
    C1: d SEARCH SUBJECT other
    S1: * SEARCH 2
    S1: d OK *
    C1: e SEARCH UNSEEN NOT FROM "b@" 1:3
    S1: * SEARCH 3
    S1: e OK *
    C1: f SEARCH SENTON 3-Feb-2020
    S1: * SEARCH 2
    S1: f OK *
    C1: g SEARCH CHARSET KOI8-R TEXT x
    S1: g NO [BADCHARSET *
    C1: h SEARCH (OR (UNSEEN FLAGGED) (BODY xyz)) LARGER 10
    S1: * SEARCH 2 3
    S1: h OK *
    C1: i SEARCH NONSENSE
    S1: i BAD *
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

TEST(Imap, SaysByeWhenTheSelectedMailboxIsDeletedElsewhere) {
  ImapFixture f;
  f.store.AddMailbox("Old");
  f.Chat(
      "L1:\nL2:\nC1: a SELECT Old\nS1: ...\nS1: a OK *\nC1: b IDLE\nS1: + *\nC2: a DELETE Old\nS2: "
      "a OK *");
  f.Chat("S1: * BYE *\nS1: <closed>");
}

TEST(Imap, NoticesWhatHappenedWhileTheStreamWasLost) {
  for (const bool history : {true, false}) {
    ImapFixture f;
    f.store.keeps_history = history;
    for (int i = 0; i < 5; ++i) f.store.AddMessage("INBOX", kMail);
    f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *");
    f.store.BreakStreams();
    f.store.ExpungeNow("INBOX", 2);
    f.store.SetFlagsNow("INBOX", 4, kSeen);
    f.store.AddMessage("INBOX", kMail);
    f.Chat(
        "C1: b IDLE\nS1: + *\nS1: * 2 EXPUNGE\nS1: * 5 EXISTS\nS1: * 0 RECENT\nS1: * 3 FETCH (UID "
        "4 FLAGS (\\Seen))");
  }
}

// [architecture.md, idea 4]
TEST(Imap, AsksTheStoreNothingForWhatTheViewKnows) {
  ImapFixture f;
  for (int i = 0; i < 10; ++i) f.store.AddMessage("INBOX", kMail);
  f.Chat("L1:\nC1: a SELECT INBOX\nS1: ...\nS1: a OK *");
  const uint64_t before = f.store.asked;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_NE(f.Do(1, "NOOP").find(" OK "), std::string::npos);
    EXPECT_NE(f.Do(1, "FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE MODSEQ)").find("* 10 FETCH"),
              std::string::npos);
    EXPECT_NE(f.Do(1, "UID SEARCH UNSEEN SINCE 1-Jan-2000").find("10\n"), std::string::npos);
  }
  EXPECT_EQ(f.store.asked, before);
}

// Two gateways on one store: what one did the other sees at once after SELECT.
TEST(Imap, SelectSeesWhatWasCommittedBefore) {
  ImapFixture f;
  f.store.Jitter(5);
  f.Chat("L1:\nL2:\nC2: a SELECT INBOX\nS2: ...\nS2: a OK *");
  for (int i = 1; i <= 50; ++i) {
    f.store.AddMessage("INBOX", kMail);
    const std::string answer = f.Do(1, i % 2 == 0 ? "SELECT INBOX" : "EXAMINE INBOX");
    EXPECT_NE(answer.find("* " + std::to_string(i) + " EXISTS"), std::string::npos);
    EXPECT_NE(f.Do(2, "STATUS INBOX (MESSAGES)").find("MESSAGES " + std::to_string(i) + ")"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace posthorn::imap_gateway
