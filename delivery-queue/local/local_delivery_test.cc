#include "delivery-queue/local/local_delivery.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "posthorn/store/v1/mailboxes.pb.h"

namespace posthorn::delivery_queue {
namespace {

using std::chrono::milliseconds;
using store::v1::DeliverReply;
using store::v1::DeliverRequest;
using store::v1::DeliveryResult;

// Replicas that take an account's mail only when it is theirs.
class Replicas : public Deliverer {
 public:
  explicit Replicas(net::Loop& loop) : loop_(loop) {}
  net::Task<absl::StatusOr<DeliverReply>> Deliver(DeliverRequest request) override {
    const uint32_t asked = known[request.deliveries(0).account()];
    while (hung.contains(asked)) co_await net::Sleep(loop_, milliseconds(1));
    DeliverReply reply;
    for (const auto& delivery : request.deliveries()) {
      const bool mine = owner[delivery.account()] == asked;
      if (mine) ++copies[delivery.account()];
      reply.add_results()->set_outcome(mine ? DeliveryResult::DELIVERED : DeliveryResult::LATER);
    }
    co_return reply;
  }
  uint32_t PlaceOf(uint64_t account) const override {
    const auto found = known.find(account);
    return found == known.end() ? 0 : found->second;
  }
  std::map<uint64_t, uint32_t> known;  // what the caller's map says
  std::map<uint64_t, uint32_t> owner;  // what is true
  std::set<uint32_t> hung;
  std::map<uint64_t, int> copies;

 private:
  net::Loop& loop_;
};

class LocalDeliveryTest : public ::testing::Test {
 protected:
  void Own(uint64_t account, uint32_t place) {
    replicas_.known[account] = replicas_.owner[account] = place;
  }
  void Submit(uint64_t account) {
    LocalJob job;
    job.sender = "sender";
    job.account = account;
    job.shared_prefix = std::make_shared<const std::string>();
    job.done = [this, account](LocalOutcome outcome) {
      EXPECT_EQ(outcome, LocalOutcome::kDelivered);
      done_.insert(account);
    };
    delivery_.Submit(std::move(job));
  }
  void Until(std::function<bool()> condition) { testing::RunTask(loop_, Wait(condition)); }
  net::Task<void> Wait(std::function<bool()> condition) {
    while (!condition()) co_await net::Sleep(loop_, milliseconds(1));
  }

  net::Loop loop_;
  Replicas replicas_{loop_};
  LocalDelivery delivery_{loop_, replicas_, "journal", [] { return std::string(); }};
  std::set<uint64_t> done_;
};

TEST_F(LocalDeliveryTest, AReplicaThatHangsHoldsUpOnlyItsOwn) {
  Own(1, 1);
  Own(2, 2);
  replicas_.hung = {1};
  for (const uint64_t account : {1u, 2u}) Submit(account);
  Until([&] { return done_ == std::set<uint64_t>{2}; });
  Submit(2);
  Until([&] { return replicas_.copies[2] == 2; });
  EXPECT_EQ(done_, std::set<uint64_t>{2});
  replicas_.hung.clear();
  Until([&] { return done_.contains(1); });
  EXPECT_EQ(replicas_.copies[1], 1);
}

TEST_F(LocalDeliveryTest, WhatTheWrongReplicaDidNotTakeGoesToTheOwner) {
  Own(1, 1);
  replicas_.owner[1] = 2;
  Submit(1);
  const auto told = loop_.After(milliseconds(30), [&] { replicas_.known[1] = 2; });
  Until([&] { return done_.contains(1); });
  EXPECT_EQ(replicas_.copies[1], 1);
}

TEST_F(LocalDeliveryTest, MailWaitsForAnOwner) {
  Submit(1);
  const auto told = loop_.After(milliseconds(30), [&] { Own(1, 3); });
  Until([&] { return done_.contains(1); });
  EXPECT_EQ(delivery_.waiting(), 0u);
}

}  // namespace
}  // namespace posthorn::delivery_queue
