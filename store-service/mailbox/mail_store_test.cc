#include "store-service/mailbox/mail_store.h"

#include <gtest/gtest.h>

#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;

TEST_F(MailStoreFixture, DeliversToAnInboxThatDidNotExist) {
  const v1::DeliveryResult result = DeliverOne(Delivery(1, "Subject: a\r\n\r\nbody\r\n"));
  EXPECT_EQ(result.outcome(), v1::DeliveryResult::DELIVERED);
  EXPECT_EQ(result.uid(), 1u);
  EXPECT_GT(result.uid_validity(), 0u);
  EXPECT_EQ(store_->UsageOf(1).messages, 1u);
  EXPECT_EQ(store_->UsageOf(1).bytes, 20 + 13 + 17u);
}

TEST_F(MailStoreFixture, RepeatedDeliveryAnswersWithTheFirstResult) {
  const v1::Delivery delivery = Delivery(1, "x");
  const v1::DeliveryResult first = DeliverOne(delivery);
  const v1::DeliveryResult again = DeliverOne(delivery);
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  Restart();
  const v1::DeliveryResult later = DeliverOne(delivery);
  EXPECT_EQ(first.SerializeAsString(), later.SerializeAsString());
  EXPECT_EQ(store_->UsageOf(1).messages, 1u);
}

}  // namespace
}  // namespace posthorn::store_service
