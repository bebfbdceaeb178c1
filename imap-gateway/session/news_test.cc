// What others did to the selected mailbox, and when a session is told.

#include "imap-gateway/testing/imap_chat.h"
#include "imap-gateway/view/view_metrics.h"

namespace posthorn::imap_gateway {
namespace {

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

TEST(RecentLag, IsTheWorstOfTheLastPeriodOrTwo) {
  RecentLag recent;
  recent.Note(40, 100'000);
  recent.Note(900, 101'000);
  recent.Note(20, 102'000);
  EXPECT_EQ(recent.Worst(102'000), 900);
  EXPECT_EQ(recent.Worst(111'000), 900);
  recent.Note(30, 112'000);
  EXPECT_EQ(recent.Worst(121'500), 30);
  EXPECT_EQ(recent.Worst(200'000), 0);
}

}  // namespace
}  // namespace posthorn::imap_gateway
