// Messages and mailboxes: FETCH, APPEND, COPY, MOVE, STORE, SEARCH, LIST and its like.

#include "imap-gateway/testing/imap_chat.h"

namespace posthorn::imap_gateway {
namespace {

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

}  // namespace
}  // namespace posthorn::imap_gateway
