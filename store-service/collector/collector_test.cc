#include "store-service/collector/collector.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lib/base/clock.h"
#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;
constexpr int64_t kDay = 24LL * 3600 * 1000;

class TestJournals final : public JournalRegistry {
 public:
  net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) override {
    if (silent) co_return base::Unavailable("a journal is away");
    std::vector<uint64_t> both;
    std::set_intersection(keys.begin(), keys.end(), held.begin(), held.end(),
                          std::back_inserter(both));
    co_return both;
  }
  net::Task<absl::StatusOr<int64_t>> OldestUnfinishedMs() override {
    if (silent) co_return base::Unavailable("a journal is away");
    co_return oldest_ms;
  }
  std::vector<std::string> Silent() const override { return {}; }
  std::set<uint64_t> held;
  int64_t oldest_ms = INT64_MAX;
  bool silent = false;
};

class CollectorTest : public MailStoreFixture {
 protected:
  absl::StatusOr<CollectorResult> Round() {
    CollectorOptions options;
    options.now_ms = [this] { return now_; };
    Collector collector(store_->lanes(), blobs_, journals_, options);
    return testing::RunTask(loop_, collector.RunOnce());
  }
  TestJournals journals_;
  int64_t now_ = base::WallMillis();
};

TEST_F(CollectorTest, FreesOnlyWhatNoRowAndNoJournalHolds) {
  const v1::Delivery delivered = Delivery(1, "kept");
  DeliverOne(delivered);
  const uint64_t orphan = blobs_.Put("orphan").key();
  const uint64_t queued = blobs_.Put("queued").key();
  journals_.held = {queued};
  ASSERT_TRUE(Round().ok());
  now_ += kDay / 2;
  EXPECT_EQ(Round()->condemned, 0u);  // too young
  now_ += kDay;
  EXPECT_EQ(Round()->condemned, 1u);
  EXPECT_TRUE(blobs_.destroyed().empty());
  now_ += kDay;
  ASSERT_TRUE(Round().ok());
  EXPECT_EQ(blobs_.destroyed(), std::set<uint64_t>{orphan});
}

TEST_F(CollectorTest, SilentJournalStopsCollection) {
  blobs_.Put("orphan");
  ASSERT_TRUE(Round().ok());
  now_ += 2 * kDay;
  journals_.silent = true;
  EXPECT_EQ(Round().status().code(), absl::StatusCode::kUnavailable);
  journals_.silent = false;
  EXPECT_EQ(Round()->condemned, 1u);
}

TEST_F(CollectorTest, DeliveryIdsStayWhileAJournalMayRepeatThem) {
  const v1::Delivery old = Delivery(1, "once");
  const v1::DeliveryResult first = DeliverOne(old);
  // Ids of an age when only the journals' word keeps them.
  now_ += 30 * kDay;
  journals_.oldest_ms = base::MessageId::FromBytes(old.message_id())->millis();
  ASSERT_TRUE(Round().ok());
  Restart();  // it knows only what lies in the database
  EXPECT_EQ(DeliverOne(old).uid(), first.uid());
  journals_.silent = true;
  (void)Round();
  Restart();
  EXPECT_EQ(DeliverOne(old).uid(), first.uid());
  journals_.silent = false;
  journals_.oldest_ms = INT64_MAX;
  ASSERT_TRUE(Round().ok());
  Restart();
  EXPECT_NE(DeliverOne(old).uid(), first.uid());
}

TEST_F(CollectorTest, CondemnedBlobTakesNoNewReference) {
  v1::Delivery late = Delivery(1, "late");
  ASSERT_TRUE(Round().ok());
  now_ += 2 * kDay;
  EXPECT_EQ(Round()->condemned, 1u);
  EXPECT_EQ(DeliverOne(late).outcome(), v1::DeliveryResult::LATER);
  EXPECT_EQ(DeliverOne(Delivery(1, "other")).outcome(), v1::DeliveryResult::DELIVERED);
  now_ += kDay;
  ASSERT_TRUE(Round().ok());
  EXPECT_EQ(DeliverOne(late).outcome(), v1::DeliveryResult::NO_BLOB);
}

TEST_F(CollectorTest, ExpungedMessageKeepsItsBytesForTheUndeleteWindow) {
  const v1::DeliveryResult delivered = DeliverOne(Delivery(1, "x"));
  v1::ExpungeRequest request;
  request.set_mailbox(delivered.mailbox());
  request.add_uids()->set_first(1);
  request.mutable_uids(0)->set_last(1);
  ASSERT_TRUE(Call(methods::kMailboxesExpunge, request).ok());
  now_ += 6 * kDay;
  EXPECT_EQ(Round()->suspects, 0u);
  now_ += 2 * kDay;
  EXPECT_EQ(Round()->suspects, 1u);
}

}  // namespace
}  // namespace posthorn::store_service
