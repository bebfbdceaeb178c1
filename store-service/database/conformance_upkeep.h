#pragma once

// The second part of what every engine must do (conformance_suite.h): several lanes, pruning and
// collecting, large and odd data.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store-service/database/conformance_suite.h"

namespace posthorn::store_service {

template <class Factory>
class DatabaseUpkeep : public DatabaseConformance<Factory> {};

TYPED_TEST_SUITE_P(DatabaseUpkeep);

TYPED_TEST_P(DatabaseUpkeep, PruningTheExpungeLogRaisesTheFloor) {
  WriteBatch batch;
  batch.PutMailbox({.account = 1, .mailbox = 2, .name = "x", .modseq = 9});
  batch.expunges.push_back({1, 2, 7, 1, 70, 100});
  batch.expunges.push_back({1, 2, 9, 2, 71, 900});
  ASSERT_TRUE(this->Write(batch).ok());
  const auto more = this->database_->PruneExpunges(this->NextFence(), 500, 100);
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_FALSE(*more);
  WriteBatch stale;  // the lane still has the old floor in memory
  stale.PutMailbox({.account = 1, .mailbox = 2, .name = "x", .modseq = 10});
  ASSERT_TRUE(this->Write(stale).ok());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ((**(*snapshot)->FindMailbox(1, 2)).log_floor, 7u);
}

TYPED_TEST_P(DatabaseUpkeep, PruningTouchesOnlyLanesOfTheFence) {
  const auto other = this->database_->AcquireLane(2, "one", 60000);
  ASSERT_TRUE(other.ok());
  WriteBatch batch;
  for (const AccountId account : {1u, 2u, 33u}) {
    batch.PutMailbox({.account = account, .mailbox = 2, .name = "x", .modseq = 9});
    batch.expunges.push_back({account, 2, 7, 1, 70, 100});
    batch.deliveries.push_back({{account, base::MessageId::New(), 0}, 2, 1, 1, 1, 100});
  }
  const Fence both = {{1, this->epoch_, ++this->batch_}, {2, other->epoch, 1}};
  ASSERT_TRUE(this->database_->Commit(both, batch).ok());
  EXPECT_TRUE(*this->database_->PruneDeliveries(this->NextFence(), 500, 1));
  EXPECT_TRUE(*this->database_->PruneDeliveries(this->NextFence(), 500, 1));
  EXPECT_FALSE(*this->database_->PruneDeliveries(this->NextFence(), 500, 1));
  EXPECT_FALSE(*this->database_->PruneExpunges(this->NextFence(), 500, 100));
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  for (const size_t own : {0u, 2u}) {
    const DeliveryKey& key = batch.deliveries[own].key;
    EXPECT_FALSE((*snapshot)->FindDelivery(key)->has_value());
    EXPECT_EQ((**(*snapshot)->FindMailbox(key.account, 2)).log_floor, 7u);
  }
  EXPECT_TRUE((*snapshot)->FindDelivery(batch.deliveries[1].key)->has_value());
  EXPECT_EQ((**(*snapshot)->FindMailbox(2, 2)).log_floor, 0u);
  int references = 0;
  ASSERT_TRUE((*snapshot)->ReadReferences([&](uint64_t) { ++references; }).ok());
  EXPECT_EQ(references, 1);
}

TYPED_TEST_P(DatabaseUpkeep, PurgingTouchesOnlyLanesOfTheFence) {
  const auto other = this->database_->AcquireLane(2, "one", 60000);
  ASSERT_TRUE(other.ok());
  WriteBatch batch;
  batch.messages.push_back(TestMessage(2, 2, 1, 1));
  batch.DropMailbox({2, 2, 9, 100});
  ASSERT_TRUE(this->database_->Commit({{2, other->epoch, 1}}, batch).ok());
  EXPECT_EQ(this->Steps([this] { return this->database_->PurgeDropped(this->NextFence(), 9); }), 0);
  EXPECT_EQ(Columns(*this->database_, 2, 2, 0).size(), 1u);
  EXPECT_EQ(this->database_->EraseAccount(this->NextFence(), 2, 5, 9).status().code(),
            absl::StatusCode::kUnavailable);
}

TYPED_TEST_P(DatabaseUpkeep, OneStaleLaneOfSeveralTakesTheWholeBatchBack) {
  Fence fence = this->NextFence();
  for (const uint32_t lane : {2u, 5u, 31u}) {
    const auto row = this->database_->AcquireLane(lane, "one", 60000);
    ASSERT_TRUE(row.ok());
    fence.push_back({lane, row->epoch, 77});
  }
  WriteBatch batch;
  batch.messages.push_back(TestMessage(1, 2, 1, 1));
  ASSERT_TRUE(this->database_->Commit(fence, batch).ok());
  // The same numbers again: found, though nothing changes.
  ASSERT_TRUE(this->database_->Commit(fence, {}).ok());
  EXPECT_EQ(this->database_->ReadLane(31)->batch, 77u);
  fence[2].epoch += 1;
  batch.messages[0].columns.uid = 2;
  for (FencedLane& lane : fence) lane.batch = 99;
  EXPECT_EQ(this->database_->Commit(fence, batch).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(this->database_->RenewLanes(fence, 1000).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(this->database_->ReadLane(31)->batch, 77u);
  EXPECT_EQ(Columns(*this->database_, 1, 2, 0).size(), 1u);
}

TYPED_TEST_P(DatabaseUpkeep, CondemnedBlobsAreRefusedUntilTheyAreForgotten) {
  Database& database = *this->database_;
  ASSERT_TRUE(database.PutSuspects(this->NextFence(), {{7001, 5}, {7002, 6}, {7003, 7}}).ok());
  ASSERT_TRUE(database.PutSuspects(this->NextFence(), {{7001, 5}, {7002, 6}}).ok());
  ASSERT_TRUE(database.Condemn(this->NextFence(), {7001}, 100).ok());
  ASSERT_TRUE(database.Condemn(this->NextFence(), {7001}, 200).ok());
  EXPECT_EQ((*database.OpenSnapshot())->Suspects()->size(), 1u);
  EXPECT_EQ(*(*database.OpenSnapshot())->Condemned(101), std::vector<uint64_t>{7001});
  EXPECT_TRUE((*database.OpenSnapshot())->Condemned(100)->empty());
  WriteBatch batch;
  batch.PutBody({7001, 0, "", "digest"});
  batch.messages.push_back(TestMessage(1, 2, 2, 1));
  batch.messages.push_back(TestMessage(1, 2, 1, 1));
  EXPECT_EQ(this->Write(batch).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Columns(database, 1, 2, 0).empty());
  ASSERT_TRUE(database.MarkDestroyed(this->NextFence(), {7001}, 1000, 500).ok());
  EXPECT_TRUE((*database.OpenSnapshot())->Condemned(INT64_MAX)->empty());
  EXPECT_EQ(this->Write(batch).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(database.MarkDestroyed(this->NextFence(), {}, 2000, 500).ok());
  EXPECT_TRUE(this->Write(batch).ok());
}

TYPED_TEST_P(DatabaseUpkeep, LastWordOnFlagsCountsAndAMissingMessageFailsTheBatch) {
  WriteBatch batch;
  for (const Uid uid : {1u, 2u, 3u}) batch.messages.push_back(TestMessage(1, 2, uid, 1));
  ASSERT_TRUE(this->Write(batch).ok());
  WriteBatch flags;
  const KeywordBits bits{uint64_t{1} << 63 | 1, UINT64_MAX};
  flags.flags.push_back({1, 2, 1, 2, 1, {}});
  flags.flags.push_back({1, 2, 3, 2, 4, bits});
  flags.flags.push_back({1, 2, 1, 3, 16, bits});
  ASSERT_TRUE(this->Write(flags).ok());
  ASSERT_TRUE(this->Write(flags).ok());
  auto rows = Columns(*this->database_, 1, 2, 1);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].flags, 16u);
  EXPECT_EQ(rows[0].modseq, 3u);
  EXPECT_EQ(rows[0].keywords, bits);
  EXPECT_EQ(rows[1].flags, 4u);
  WriteBatch missing;
  missing.flags.push_back({1, 2, 2, 9, 1, {}});
  missing.flags.push_back({1, 2, 4, 9, 1, {}});
  EXPECT_EQ(this->Write(missing).code(), absl::StatusCode::kInternal);
  WriteBatch copy;
  copy.copies.push_back({1, 2, 4, 9, batch.messages[0].columns});
  EXPECT_EQ(this->Write(copy).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Columns(*this->database_, 1, 2, 1), rows);
}

TYPED_TEST_P(DatabaseUpkeep, LargeMailboxesComeBackWholeAndInOrder) {
  constexpr Uid kMany = 10123;
  WriteBatch batch;
  for (Uid uid = 1; uid <= kMany; ++uid) {
    batch.messages.push_back(TestMessage(1, 2, uid, uid));
    batch.expunges.push_back({1, 3, 1 + uid / 3, uid, 90000 + uid, 5});
  }
  batch.messages.push_back(TestMessage(1, 4, 1, 1));
  batch.messages.push_back(TestMessage(33, 1, 1, 1));
  ASSERT_TRUE(this->Write(batch).ok());
  const auto rows = Columns(*this->database_, 1, 2, 1);
  ASSERT_EQ(rows.size(), kMany - 1);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].uid, i + 2);
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  Uid last = 2;
  ASSERT_TRUE((*snapshot)->ReadExpunged(1, 3, 1, [&](Uid uid) { EXPECT_EQ(uid, ++last); }).ok());
  EXPECT_EQ(last, kMany);
  last = 6;
  ASSERT_TRUE((*snapshot)
                  ->ReadPlaces(1, 2, {7, 2000},
                               [&](const MessagePlace& place) {
                                 EXPECT_EQ(place.uid, ++last);
                                 return last < 1999;
                               })
                  .ok());
  EXPECT_EQ(last, 1999u);
  size_t references = 0;
  ASSERT_TRUE((*snapshot)->ReadReferences([&](uint64_t) { ++references; }).ok());
  EXPECT_EQ(references, 2 * size_t{kMany} + 2);
  const auto totals = (*snapshot)->Totals(1, 2);
  EXPECT_EQ(totals->messages, kMany);
  EXPECT_EQ(totals->unseen, kMany);
  EXPECT_EQ(totals->highest_uid, kMany);
  EXPECT_EQ(totals->highest_modseq, kMany);
}

TYPED_TEST_P(DatabaseUpkeep, AnyBytesAndLargeValuesComeBack) {
  std::string odd;
  for (int c = 0; c < 256; ++c) odd += static_cast<char>(c);
  odd += "\\'\"\xe4\xb8'";
  WriteBatch batch;
  batch.PutBody({7001, 1, odd, std::string(3 << 20, '\'')});
  batch.PutBody({7002, 1, std::string(3 << 20, '\\'), odd});
  MessageRow message = TestMessage(1, 2, 1, 1);
  message.own_prefix = odd;
  message.prefix_hash = 1;
  message.columns.internal_date_ms = -1;
  batch.messages.push_back(message);
  batch.operations.push_back({1, odd.substr(0, 200), 1, odd});
  ASSERT_TRUE(this->Write(batch).ok());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ((**(*snapshot)->FindPlace(1, 2, 1)).prefix, odd + odd);
  EXPECT_EQ(Columns(*this->database_, 1, 2, 0), std::vector{message.columns});
  size_t digest = 0;
  ASSERT_TRUE((*snapshot)
                  ->ReadDigests(1, 2, {},
                                [&](const DigestEntry& entry) {
                                  digest = entry.digest.size();
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(digest, size_t{3} << 20);
}

TYPED_TEST_P(DatabaseUpkeep, SnapshotDoesNotSeeWhatCameLater) {
  WriteBatch batch;
  batch.messages.push_back(TestMessage(1, 2, 1, 1));
  ASSERT_TRUE(this->Write(batch).ok());
  auto snapshot = this->database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  EXPECT_EQ((*snapshot)->Totals(1, 2)->messages, 1u);
  batch.messages[0].columns.uid = 2;
  ASSERT_TRUE(this->Write(batch).ok());
  EXPECT_EQ((*snapshot)->Totals(1, 2)->messages, 1u);
  EXPECT_EQ(Columns(*this->database_, 1, 2, 0).size(), 2u);
}

REGISTER_TYPED_TEST_SUITE_P(DatabaseUpkeep, PruningTheExpungeLogRaisesTheFloor,
                            PruningTouchesOnlyLanesOfTheFence, PurgingTouchesOnlyLanesOfTheFence,
                            OneStaleLaneOfSeveralTakesTheWholeBatchBack,
                            CondemnedBlobsAreRefusedUntilTheyAreForgotten,
                            LastWordOnFlagsCountsAndAMissingMessageFailsTheBatch,
                            LargeMailboxesComeBackWholeAndInOrder, AnyBytesAndLargeValuesComeBack,
                            SnapshotDoesNotSeeWhatCameLater);

}  // namespace posthorn::store_service
