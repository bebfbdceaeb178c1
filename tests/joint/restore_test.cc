// An older backup comes back while clients know more [deep-structures 7].

#include <regex>

#include "tests/joint/joint_fixture.h"

namespace posthorn::joint {
namespace {

uint32_t Number(const std::string& text, const std::string& before) {
  std::smatch match;
  EXPECT_TRUE(std::regex_search(text, match, std::regex(before + " (\\d+)"))) << text;
  return match.empty() ? 0 : static_cast<uint32_t>(std::stoul(match[1]));
}

class RestoredStore : public JointFixture {
 protected:
  // A client that saw message 2, which the backup does not have.
  Client& ClientAheadOfBackup() {
    DeliverOne(Delivery(1, "in the backup"));
    Client& client = LogIn(1);
    validity_ = Number(Do(client, "SELECT INBOX"), "UIDVALIDITY");
    archive_validity_ = Number(Do(client, "STATUS Archive (UIDVALIDITY)"), "UIDVALIDITY");
    BackUp();
    DeliverOne(Delivery(1, "lost"));
    EXPECT_NE(Do(client, "SELECT INBOX").find("* 2 EXISTS"), std::string::npos);
    return client;
  }
  uint32_t validity_ = 0;
  uint32_t archive_validity_ = 0;
};

TEST_F(RestoredStore, SendsSessionsAwayAndGivesEveryMailboxANewUidValidity) {
  Client& client = ClientAheadOfBackup();
  client.peer.Send("i IDLE\r\n");
  EXPECT_EQ(NextLine(client).substr(0, 1), "+");
  Restore();
  // [RFC9051 2.3.1.1] uids of the lost messages will be given to others.
  EXPECT_EQ(NextLine(client), "* BYE Mailbox was made anew");
  EXPECT_EQ(NextLine(client), "<closed>");
  Client& again = LogIn(1);
  const std::string selected = Do(again, "SELECT INBOX");
  EXPECT_GT(Number(selected, "UIDVALIDITY"), validity_);
  EXPECT_NE(selected.find("* 1 EXISTS"), std::string::npos);
  EXPECT_GT(Number(Do(again, "STATUS Archive (UIDVALIDITY)"), "UIDVALIDITY"), archive_validity_);
  // Modseqs go on above all that was ever told [RFC7162 3.1.1].
  EXPECT_NE(Do(again, "UID STORE 1 +FLAGS (\\Seen)").find("(\\Seen)"), std::string::npos);
  DeliverOne(Delivery(1, "new"));
  EXPECT_NE(Do(again, "SELECT INBOX").find("* 2 EXISTS"), std::string::npos);
}

TEST_F(RestoredStore, SendsASessionAwayThatWasNotIdling) {
  Client& client = ClientAheadOfBackup();
  Restore();
  // The gateway hears of it in its own time; until then it serves what it has.
  std::string answer;
  while (!answer.ends_with("<closed>\n")) answer = Do(client, "NOOP");
  EXPECT_EQ(answer, "* BYE Mailbox was made anew\n<closed>\n");
}

TEST_F(RestoredStore, RenumbersOnceHoweverManyNoticeTheLoss) {
  ClientAheadOfBackup();
  LogIn(1);
  Restore();
  Client& first = LogIn(1);
  const uint32_t validity = Number(Do(first, "SELECT INBOX"), "UIDVALIDITY");
  EXPECT_GT(validity, validity_);
  Restart();
  EXPECT_EQ(Number(Do(LogIn(1), "SELECT INBOX"), "UIDVALIDITY"), validity);
}

TEST_F(RestoredStore, KeepsUidValidityWhenNothingWasLost) {
  DeliverOne(Delivery(1, "one"));
  Client& client = LogIn(1);
  const uint32_t validity = Number(Do(client, "SELECT INBOX"), "UIDVALIDITY");
  BackUp();
  Restore();
  DeliverOne(Delivery(1, "two"));
  EXPECT_NE(Do(client, "SELECT INBOX").find("* 2 EXISTS"), std::string::npos);
  EXPECT_EQ(Number(Do(client, "STATUS INBOX (UIDVALIDITY)"), "UIDVALIDITY"), validity);
}

}  // namespace
}  // namespace posthorn::joint
