#include "store-service/mailbox/eraser.h"

#include <gtest/gtest.h>

#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;
// More than two steps.
constexpr int kMessages = 2 * Eraser::kStep + 100;

class EraserTest : public MailStoreFixture {
 protected:
  void Fill(AccountId account, int count, const std::string& mailbox = "") {
    v1::DeliverRequest request;
    const v1::Delivery first = Delivery(account, "x");
    for (int i = 0; i < count; ++i) {
      v1::Delivery& delivery = *request.add_deliveries();
      delivery = first;
      delivery.set_copy(static_cast<uint32_t>(i));
      delivery.set_mailbox(mailbox);
    }
    const auto reply = Call(methods::kMailboxesDeliver, request);
    ASSERT_TRUE(reply.ok()) << reply.status();
    for (const auto& result : reply->results()) {
      ASSERT_EQ(result.outcome(), v1::DeliveryResult::DELIVERED);
    }
  }
  absl::Status Erase(AccountId account) {
    return testing::RunTask(loop_, store_->EraseAccount(account));
  }
  std::unique_ptr<ReadSnapshot> Snapshot() {
    auto snapshot = database_->OpenSnapshot();
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return *std::move(snapshot);
  }
  size_t Rows(AccountId account, MailboxId mailbox) {
    size_t rows = 0;
    EXPECT_TRUE(
        Snapshot()->ReadColumns(account, mailbox, 0, [&](const MessageColumns&) { ++rows; }).ok());
    return rows;
  }
  size_t References() {
    size_t references = 0;
    EXPECT_TRUE(Snapshot()->ReadReferences([&](uint64_t) { ++references; }).ok());
    return references;
  }
  MailboxId Find(AccountId account, const std::string& name) {
    const absl::StatusOr<AccountImage> image = Snapshot()->LoadAccount(account);
    for (const MailboxRow& row : image->mailboxes) {
      if (row.name == name) return row.mailbox;
    }
    return 0;
  }
  MailboxId InboxOf(AccountId account) { return Find(account, "INBOX"); }
  // Until `true`; the loop runs meanwhile.
  template <class Condition>
  void Wait(Condition condition) {
    while (!condition()) testing::RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  }
  // Begins an erasure that somebody else may interrupt.
  net::Task<void> EraseThenTell(AccountId account, std::shared_ptr<int> done) {
    (void)co_await store_->EraseAccount(account);
    *done = 1;
  }
};

TEST_F(EraserTest, ErasedAccountLeavesNoRowAndKeepsBytesForTheUndeleteWindow) {
  Fill(1, kMessages);
  Fill(2, 3);
  const MailboxId inbox = InboxOf(1);
  const v1::Delivery known = Delivery(1, "known");
  ASSERT_EQ(DeliverOne(known).outcome(), v1::DeliveryResult::DELIVERED);
  ASSERT_TRUE(Erase(1).ok());
  EXPECT_FALSE(Snapshot()->LoadAccount(1)->exists);
  EXPECT_EQ(Rows(1, inbox), 0u);
  EXPECT_FALSE(Snapshot()
                   ->FindDelivery({1, *base::MessageId::FromBytes(known.message_id()), 0})
                   ->has_value());
  EXPECT_EQ(References(), static_cast<size_t>(kMessages) + 1 + 3);
  EXPECT_EQ(store_->UsageOf(1).bytes, 0u);
  EXPECT_EQ(store_->UsageOf(2).messages, 3u);
  EXPECT_EQ(Rows(2, InboxOf(2)), 3u);
}

TEST_F(EraserTest, MessagesDeliveredDuringAndAfterTheErasureDoNotBringTheAccountBack) {
  Fill(1, kMessages);
  const auto done = std::make_shared<int>(0);
  loop_.Spawn("test.erase", EraseThenTell(1, done));
  int refused = 0;
  while (*done == 0) {
    refused += DeliverOne(Delivery(1, "late")).outcome() == v1::DeliveryResult::LATER ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(DeliverOne(Delivery(1, "later")).outcome(), v1::DeliveryResult::LATER);
  v1::SubscribeRequest request;
  request.set_name("x");
  request.set_subscribed(true);
  EXPECT_TRUE(absl::IsPermissionDenied(Call(methods::kMailboxesSubscribe, request).status()));
  EXPECT_FALSE(Snapshot()->LoadAccount(1)->exists);
  EXPECT_TRUE(Snapshot()->LoadAccount(1)->mailboxes.empty());
}

TEST_F(EraserTest, ErasureGoesOnAfterARestartFromWhereItWas) {
  Fill(1, kMessages);
  const MailboxId inbox = InboxOf(1);
  const auto done = std::make_shared<int>(0);
  loop_.Spawn("test.erase", EraseThenTell(1, done));
  Wait([&] { return Rows(1, inbox) < static_cast<size_t>(kMessages); });
  Restart();
  Wait([&] { return *done == 1; });
  // Interrupted or, on a fast disk, done; what is left goes with the next call in any case.
  EXPECT_EQ(References(), static_cast<size_t>(kMessages));
  ASSERT_TRUE(Erase(1).ok());
  EXPECT_EQ(Rows(1, inbox), 0u);
  EXPECT_FALSE(Snapshot()->LoadAccount(1)->exists);
  EXPECT_EQ(References(), static_cast<size_t>(kMessages));
}

TEST_F(EraserTest, DeletedMailboxIsGoneAtOnceAndItsMessagesInSteps) {
  Fill(1, kMessages, "Old");
  const uint64_t used = store_->UsageOf(1).messages;
  const MailboxId old = Find(1, "Old");
  v1::DeleteMailboxRequest request;
  request.set_name("Old");
  ASSERT_TRUE(Call(methods::kMailboxesDeleteMailbox, request).ok());
  EXPECT_EQ(used - store_->UsageOf(1).messages, static_cast<uint64_t>(kMessages));
  EXPECT_FALSE(Snapshot()->FindMailbox(1, old)->has_value());
  // What the stop leaves is taken up by the next start.
  Restart();
  Wait([&] { return Rows(1, old) == 0; });
  EXPECT_EQ(References(), static_cast<size_t>(kMessages));
  size_t gone = 0;
  ASSERT_TRUE(Snapshot()->ReadExpunged(1, old, 0, [&](Uid) { ++gone; }).ok());
  EXPECT_EQ(gone, static_cast<size_t>(kMessages));
}

}  // namespace
}  // namespace posthorn::store_service
