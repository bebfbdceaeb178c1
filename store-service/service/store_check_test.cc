#include "store-service/service/store_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/mime/digest.h"
#include "lib/sqlite/connection.h"
#include "store-service/mailbox/mail_store_fixture.h"
#include "store-service/service/recount.h"

namespace posthorn::store_service {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class StoreCheckTest : public MailStoreFixture {
 protected:
  uint64_t Deliver(uint64_t account, std::string body) {
    v1::Delivery delivery;
    const base::MessageId id = base::MessageId::New();
    delivery.set_message_id(std::string(id.bytes()));
    delivery.set_account(account);
    *delivery.mutable_blob() = blobs_.Put(std::move(body));
    EXPECT_EQ(DeliverOne(delivery).outcome(), v1::DeliveryResult::DELIVERED);
    return delivery.blob().key();
  }
  CheckFindings Check() {
    problems_.clear();
    const std::atomic<bool> stop{false};
    StoreCheck check(
        *database_, blobs_,
        [this](CheckSay what, std::string line) {
          if (what == CheckSay::kProblem) problems_.push_back(std::move(line));
        },
        stop);
    const absl::Status status = check.Run();
    EXPECT_TRUE(status.ok()) << status;
    return check.findings();
  }
  void Damage(const std::string& sql) {
    StopStore();
    {
      auto db = sqlite::Connection::Open({.path = dir_.path() + "/mail.db"});
      EXPECT_TRUE((*db)->Script(sql).ok());
    }
    StartStore();
  }
  std::vector<std::string> problems_;
};

TEST_F(StoreCheckTest, AHealthyStoreHasNoProblems) {
  Deliver(1, "one");
  Deliver(2, "two");
  blobs_.Put("in nobody's mailbox");
  const CheckFindings findings = Check();
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_EQ(findings.messages, 2U);
  EXPECT_EQ(findings.blobs, 3U);
  EXPECT_EQ(findings.unreferenced, 1U);
}

TEST_F(StoreCheckTest, WrongCountersAreFoundAndRecounted) {
  Deliver(1, "one");
  Deliver(1, "three");
  Deliver(2, "two");
  Damage("UPDATE mailbox SET messages=99,unseen=98 WHERE account=1 AND name='INBOX';");
  EXPECT_THAT(Check().miscounted, ElementsAre(1U));
  EXPECT_THAT(
      problems_,
      Contains(HasSubstr("mailbox INBOX: messages 99 instead of 2 unseen 98 instead of 2")));
  ASSERT_TRUE(testing::RunTask(loop_, RecountAccount(store_->lanes(), 1)).ok());
  EXPECT_THAT(Check().miscounted, IsEmpty());
  EXPECT_THAT(problems_, IsEmpty());
  Restart();
  EXPECT_EQ(Check().problems, 0U);
}

TEST_F(StoreCheckTest, WrongQuotaUseIsFoundAndRecounted) {
  Deliver(1, "one");
  Damage("UPDATE account SET used_bytes=used_bytes+1000;");
  EXPECT_THAT(Check().miscounted, ElementsAre(1U));
  ASSERT_TRUE(testing::RunTask(loop_, RecountAccount(store_->lanes(), 1)).ok());
  EXPECT_EQ(Check().problems, 0U);
  EXPECT_LT(store_->UsageOf(1).bytes, 1000U);
}

TEST_F(StoreCheckTest, RowsWithoutBytesAreFound) {
  const uint64_t key = Deliver(1, "one");
  blobs_.Forget(key);
  EXPECT_EQ(Check().problems, 1U);
  EXPECT_THAT(problems_, Contains(HasSubstr("a message refers to it and it is not there")));
}

TEST_F(StoreCheckTest, MessagesWithoutBytesAreNamed) {
  const uint64_t key = Deliver(1, "one");
  v1::Delivery copy;
  copy.set_message_id(std::string(base::MessageId::New().bytes()));
  copy.set_account(2);
  copy.set_mailbox("Work");
  copy.mutable_blob()->set_key(key);
  copy.mutable_blob()->set_size(3);
  ASSERT_EQ(DeliverOne(copy).outcome(), v1::DeliveryResult::DELIVERED);
  Deliver(1, "whole");
  blobs_.Forget(key);
  const CheckFindings findings = Check();
  EXPECT_EQ(findings.problems, 1U);
  EXPECT_EQ(findings.unreadable, 2U);
  EXPECT_THAT(problems_, Contains(HasSubstr("account 1 mailbox INBOX uid 1, 3 bytes")));
  EXPECT_THAT(problems_, Contains(HasSubstr("account 2 mailbox Work uid 1, 3 bytes")));
  EXPECT_THAT(problems_, Not(Contains(HasSubstr("uid 2"))));
}

TEST_F(StoreCheckTest, UnreadableMessagesAreNamedByTheSubjectThatTheirDigestKnows) {
  const uint64_t key = Deliver(1, "one");
  std::string umlauts;
  for (int i = 0; i < 200; ++i) umlauts += "\xc3\xbc";
  const std::string digest =
      mime::MakeDigest(base::StrCat("Subject: Quarter\x1b[2J report!", umlauts, "\r\n\r\n"));
  Damage(
      base::StrCat("UPDATE body SET digest=x'", base::Hex(digest), "' WHERE blob_key=", key, ";"));
  blobs_.Forget(key);
  Check();
  EXPECT_THAT(problems_,
              Contains(AllOf(HasSubstr("uid 1"), HasSubstr("\"Quarter"), HasSubstr("[2J report!"),
                             HasSubstr("\xc3\xbc\":"), Not(HasSubstr("\x1b")))));
}

}  // namespace
}  // namespace posthorn::store_service
