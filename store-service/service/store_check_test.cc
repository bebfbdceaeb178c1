#include "store-service/service/store_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/sqlite/connection.h"
#include "store-service/mailbox/mail_store_fixture.h"
#include "store-service/service/recount.h"

namespace posthorn::store_service {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

}  // namespace
}  // namespace posthorn::store_service
