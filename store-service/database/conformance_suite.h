#pragma once

// What every engine of the mail database must do. Instantiate with a factory type:
//   struct Factory { Factory(); absl::StatusOr<std::unique_ptr<Database>> Open(); };
// Open() may be called again: a second database on the same data.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "store-service/database/database.h"
#include "store-service/database/rows_for_test.h"

namespace posthorn::store_service {

template <class Factory>
class DatabaseConformance : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = factory_.Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    database_ = *std::move(opened);
    auto lane = database_->AcquireLane(1, "one", 60000);
    ASSERT_TRUE(lane.ok()) << lane.status();
    epoch_ = lane->epoch;
  }
  Fence NextFence() { return {{1, epoch_, ++batch_}}; }
  absl::Status Write(const WriteBatch& batch) { return database_->Commit(NextFence(), batch); }

  // How often `step` says that there is more.
  template <class Step>
  int Steps(Step step) {
    int steps = 0;
    for (;;) {
      const absl::StatusOr<bool> more = step();
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return steps;
      ++steps;
    }
  }

  Factory factory_;
  std::unique_ptr<Database> database_;
  uint64_t epoch_ = 0;
  uint64_t batch_ = 0;
};

TYPED_TEST_SUITE_P(DatabaseConformance);

TYPED_TEST_P(DatabaseConformance, GivesBackTheRowsItWasGiven) {
  WriteBatch batch;
  const MessageRow message = TestMessage(1, 2, 3, 4);
  AccountRow account{.account = 1, .modseq = 4, .next_mailbox = 3, .used_bytes = 1003};
  MailboxRow mailbox{.account = 1, .mailbox = 2, .name = "Ä/b", .uid_next = 4, .modseq = 4};
  batch.PutAccount(account);
  batch.PutMailbox(mailbox);
  batch.messages.push_back(message);
  batch.keywords.push_back({1, 2, 63, "$Important"});
  batch.subscriptions.push_back({1, "Ä/b", SubscriptionRow::State::kSubscribed});
  batch.operations.push_back({1, std::string("o\0p", 3), 99, std::string("\0r", 2)});
  ASSERT_TRUE(this->Write(batch).ok());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  const auto image = (*snapshot)->LoadAccount(1);
  ASSERT_TRUE(image.ok());
  EXPECT_TRUE(image->exists);
  EXPECT_EQ(image->row.used_bytes, 1003u);
  ASSERT_EQ(image->mailboxes.size(), 1u);
  EXPECT_EQ(image->mailboxes[0].name, "Ä/b");
  ASSERT_EQ(image->keywords.size(), 1u);
  EXPECT_EQ(image->keywords[0].bit, 63u);
  EXPECT_EQ(image->subscriptions, std::vector<std::string>{"Ä/b"});
  ASSERT_EQ(image->operations.size(), 1u);
  EXPECT_EQ(image->operations[0].operation, std::string("o\0p", 3));
  EXPECT_EQ(Columns(*this->database_, 1, 2, 0), std::vector{message.columns});
}

TYPED_TEST_P(DatabaseConformance, StaleEpochWritesNothing) {
  auto second = this->factory_.Open();
  ASSERT_TRUE(second.ok());
  ASSERT_TRUE(this->database_->ReleaseLane(1, this->epoch_).ok());
  const auto taken = (*second)->AcquireLane(1, "two", 60000);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_GT(taken->epoch, this->epoch_);
  WriteBatch batch;
  batch.messages.push_back(TestMessage(1, 2, 3, 4));
  EXPECT_EQ(this->Write(batch).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Columns(*this->database_, 1, 2, 0).empty());
}

TYPED_TEST_P(DatabaseConformance, RunningLeaseIsNotTakenAndAnExpiredOneIs) {
  auto second = this->factory_.Open();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)->AcquireLane(1, "two", 60000).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(this->database_->RenewLanes({{1, this->epoch_, 0}}, -1).ok());
  EXPECT_TRUE((*second)->AcquireLane(1, "two", 60000).ok());
  EXPECT_EQ(this->database_->RenewLanes({{1, this->epoch_, 0}}, 1000).code(),
            absl::StatusCode::kAborted);
}

TYPED_TEST_P(DatabaseConformance, ReplicasSeeEachOtherAndWhoOwnsWhat) {
  auto second = this->factory_.Open();
  ASSERT_TRUE(second.ok());
  ASSERT_TRUE(this->database_->Beat({.name = "one", .address = "a:1", .version = "1"}).ok());
  ASSERT_TRUE((*second)->Beat({.name = "two", .state = ReplicaRow::State::kDraining}).ok());
  const auto seen = this->database_->Beat({.name = "one", .address = "a:2", .version = "2"});
  ASSERT_TRUE(seen.ok()) << seen.status();
  ASSERT_EQ(seen->replicas.size(), 2u);
  EXPECT_EQ(seen->replicas[0].address, "a:2");
  EXPECT_EQ(seen->replicas[0].version, "2");
  EXPECT_EQ(seen->replicas[0].state, ReplicaRow::State::kServing);
  EXPECT_EQ(seen->replicas[1].name, "two");
  EXPECT_EQ(seen->replicas[1].state, ReplicaRow::State::kDraining);
  EXPECT_LE(seen->now_ms - seen->replicas[1].seen_ms, 60000);
  EXPECT_GE(seen->now_ms, seen->replicas[1].seen_ms);
  ASSERT_EQ(seen->lanes.size(), base::kLanes);
  EXPECT_EQ(seen->lanes[0].owner, "");
  EXPECT_EQ(seen->lanes[1].lane, 1u);
  EXPECT_EQ(seen->lanes[1].owner, "one");
  EXPECT_EQ(seen->lanes[1].epoch, this->epoch_);
  EXPECT_GT(seen->lanes[1].expires_ms, seen->now_ms);
  const auto snapshot = (*second)->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  const auto read = (*snapshot)->ReadCluster();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->replicas.size(), 2u);
  EXPECT_EQ(read->lanes[1].owner, "one");
  ASSERT_TRUE((*second)->Leave({.name = "two"}).ok());
  EXPECT_EQ(this->database_->Beat({.name = "one"})->replicas.size(), 1u);
}

TYPED_TEST_P(DatabaseConformance, NamesBelongToOneProcessAtATime) {
  const ReplicaRow first{.name = "one", .address = "a:1", .instance = "x"};
  const ReplicaRow second{.name = "one", .address = "b:1", .instance = "y"};
  const auto begun = this->database_->Beat(first);
  ASSERT_TRUE(begun.ok()) << begun.status();
  const int64_t started = begun->replicas[0].started_ms;
  EXPECT_GT(started, 0);
  EXPECT_TRUE(absl::IsAlreadyExists(this->database_->Beat(second).status()));
  const auto after = this->database_->Beat(first);
  ASSERT_TRUE(after.ok()) << after.status();
  ASSERT_EQ(after->replicas.size(), 1u);
  EXPECT_EQ(after->replicas[0].address, "a:1");
  EXPECT_EQ(after->replicas[0].instance, "x");
  EXPECT_EQ(after->replicas[0].started_ms, started);
  ReplicaRow stale = after->replicas[0];
  stale.seen_ms -= 1;
  EXPECT_TRUE(absl::IsAborted(this->database_->TakeName(second, stale)));
  ASSERT_TRUE(this->database_->TakeName(second, after->replicas[0]).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(this->database_->Beat(first).status()));
  ASSERT_TRUE(this->database_->Leave(first).ok());
  const auto taken = this->database_->Beat(second);
  ASSERT_TRUE(taken.ok()) << taken.status();
  ASSERT_EQ(taken->replicas.size(), 1u);
  EXPECT_EQ(taken->replicas[0].instance, "y");
  EXPECT_GE(taken->replicas[0].started_ms, started);
  ASSERT_TRUE(this->database_->Leave(second).ok());
  EXPECT_TRUE(this->database_->Beat(first).ok());
}

TYPED_TEST_P(DatabaseConformance, RepeatedDeliveryIdTakesTheWholeBatchBack) {
  WriteBatch batch;
  const DeliveryRow delivery{{1, base::MessageId::New(), 0}, 2, 3, 4, 5, 6};
  batch.deliveries.push_back(delivery);
  ASSERT_TRUE(this->Write(batch).ok());
  batch.messages.push_back(TestMessage(1, 2, 4, 5));
  EXPECT_EQ(this->Write(batch).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Columns(*this->database_, 1, 2, 0).empty());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  const auto found = (*snapshot)->FindDelivery(delivery.key);
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->uid, 3u);
}

TYPED_TEST_P(DatabaseConformance, LaterStepsOfABatchSeeEarlierOnes) {
  WriteBatch batch;
  batch.messages.push_back(TestMessage(1, 2, 1, 1));
  CopyRow copy{1, 2, 1, 9, batch.messages[0].columns};
  copy.columns.uid = 5;
  copy.columns.modseq = 2;
  batch.copies.push_back(copy);
  CopyRow again{1, 9, 5, 10, copy.columns};
  again.columns.uid = 6;
  batch.copies.push_back(again);
  batch.flags.push_back({1, 9, 5, 3, 1, {}});
  batch.expunges.push_back({1, 2, 4, 1, 7001, 100});
  ASSERT_TRUE(this->Write(batch).ok());
  EXPECT_TRUE(Columns(*this->database_, 1, 2, 0).empty());
  const auto rows = Columns(*this->database_, 1, 9, 0);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].flags, 1u);
  EXPECT_EQ(rows[0].modseq, 3u);
  EXPECT_EQ(rows[0].size, 1001u);
  EXPECT_EQ(Columns(*this->database_, 1, 10, 0).size(), 1u);
  std::vector<Uid> gone;
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  ASSERT_TRUE((*snapshot)->ReadExpunged(1, 2, 3, [&](Uid uid) { gone.push_back(uid); }).ok());
  EXPECT_EQ(gone, std::vector<Uid>{1});
}

TYPED_TEST_P(DatabaseConformance, PrefixesOfOneBlobAreToldApart) {
  WriteBatch batch;
  batch.PutBody({50, 1, "One: 1\r\n", "digest"});
  ASSERT_TRUE(this->Write(batch).ok());
  WriteBatch second;
  second.PutBody({50, 2, "Two: 2\r\n", "digest"});
  for (const Uid uid : {1u, 2u, 3u}) {
    MessageRow row = TestMessage(1, 2, uid, 1);
    row.columns.blob_key = 50;
    row.prefix_hash = uid % 3;
    second.messages.push_back(row);
  }
  ASSERT_TRUE(this->Write(second).ok());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  const std::string own = "Return-Path: <a@example.org>\r\n";
  EXPECT_EQ((**(*snapshot)->FindPlace(1, 2, 1)).prefix, own + "One: 1\r\n");
  EXPECT_EQ((**(*snapshot)->FindPlace(1, 2, 2)).prefix, own + "Two: 2\r\n");
  EXPECT_EQ((**(*snapshot)->FindPlace(1, 2, 3)).prefix, own);
  EXPECT_FALSE((*snapshot)->FindPlace(1, 2, 4)->has_value());
  std::vector<std::string> digests;
  ASSERT_TRUE((*snapshot)
                  ->ReadDigests(1, 2, {2, 3},
                                [&](const DigestEntry& entry) {
                                  digests.emplace_back(entry.digest);
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(digests, (std::vector<std::string>{"digest", "digest"}));
}

TYPED_TEST_P(DatabaseConformance, DeletedMailboxLeavesOnlyItsExpungeLog) {
  WriteBatch batch;
  batch.PutMailbox({.account = 1, .mailbox = 2, .name = "x"});
  for (const Uid uid : {1u, 2u, 3u}) batch.messages.push_back(TestMessage(1, 2, uid, 1));
  batch.messages.push_back(TestMessage(1, 3, 1, 1));
  batch.keywords.push_back({1, 2, 0, "k"});
  ASSERT_TRUE(this->Write(batch).ok());
  WriteBatch drop;
  drop.DropMailbox({1, 2, 9, 100});
  ASSERT_TRUE(this->Write(drop).ok());
  EXPECT_EQ(this->Steps([this] { return this->database_->PurgeDropped(this->NextFence(), 1); }), 4);
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_FALSE((*snapshot)->FindMailbox(1, 2)->has_value());
  EXPECT_TRUE((*snapshot)->Keywords(1, 2)->empty());
  EXPECT_TRUE(Columns(*this->database_, 1, 2, 0).empty());
  EXPECT_EQ(Columns(*this->database_, 1, 3, 0).size(), 1u);
  std::vector<Uid> gone;
  ASSERT_TRUE((*snapshot)->ReadExpunged(1, 2, 0, [&](Uid uid) { gone.push_back(uid); }).ok());
  EXPECT_EQ(gone, (std::vector<Uid>{1, 2, 3}));
}

TYPED_TEST_P(DatabaseConformance, ErasedAccountLeavesOnlyItsExpungeLog) {
  WriteBatch batch;
  for (const AccountId account : {1u, 33u}) {
    batch.PutAccount({.account = account, .modseq = 5});
    batch.PutMailbox({.account = account, .mailbox = 2, .name = "x"});
    for (const Uid uid : {1u, 2u, 3u}) batch.messages.push_back(TestMessage(account, 2, uid, 1));
    batch.messages.push_back(TestMessage(account, 9, 1, 1));
    batch.keywords.push_back({account, 2, 0, "k"});
    batch.subscriptions.push_back({account, "x", SubscriptionRow::State::kSubscribed});
    batch.deliveries.push_back({{account, base::MessageId::New(), 0}, 2, 1, 1, 1, 1});
    batch.operations.push_back({account, "op", 1, "reply"});
  }
  ASSERT_TRUE(this->Write(batch).ok());
  const auto step = [this] { return this->database_->EraseAccount(this->NextFence(), 1, 77, 2); };
  EXPECT_EQ(this->Steps(step), 4);  // nine rows by two, and its own with the last
  EXPECT_EQ(this->Steps(step), 0);
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_FALSE((*snapshot)->LoadAccount(1)->exists);
  EXPECT_TRUE((*snapshot)->LoadAccount(1)->mailboxes.empty());
  EXPECT_TRUE((*snapshot)->LoadAccount(1)->operations.empty());
  EXPECT_FALSE((*snapshot)->FindDelivery(batch.deliveries[0].key)->has_value());
  int references = 0;
  ASSERT_TRUE((*snapshot)->ReadReferences([&](uint64_t) { ++references; }).ok());
  EXPECT_EQ(references, 8);
  // Another account of the same lane keeps everything.
  const auto other = (*snapshot)->LoadAccount(33);
  EXPECT_TRUE(other->exists);
  EXPECT_EQ(other->operations.size(), 1u);
  EXPECT_EQ(Columns(*this->database_, 33, 2, 0).size(), 3u);
  EXPECT_TRUE((*snapshot)->FindDelivery(batch.deliveries[1].key)->has_value());
}

REGISTER_TYPED_TEST_SUITE_P(DatabaseConformance, GivesBackTheRowsItWasGiven,
                            StaleEpochWritesNothing, RunningLeaseIsNotTakenAndAnExpiredOneIs,
                            ReplicasSeeEachOtherAndWhoOwnsWhat, NamesBelongToOneProcessAtATime,
                            RepeatedDeliveryIdTakesTheWholeBatchBack,
                            LaterStepsOfABatchSeeEarlierOnes, PrefixesOfOneBlobAreToldApart,
                            DeletedMailboxLeavesOnlyItsExpungeLog,
                            ErasedAccountLeavesOnlyItsExpungeLog);

}  // namespace posthorn::store_service
