// The queue's journals against one description: files of one machine, and rows of the store's
// database (SQLite, MariaDB) over real connections. Then what only the second kind has: answers
// that are lost, and a store that is away.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/journal/journal_fixture.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_P(QueueJournalTest, WhatWasAnsweredIsThereAfterARestart) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  ASSERT_TRUE(Put(*journal_, Key(2), std::string("t\0wo", 4)).ok());
  ASSERT_TRUE(Put(*journal_, Key(1), "one again").ok());
  const std::string id = journal_->id();
  Open();
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1), "one again"),
                                                    Pair(Key(2), std::string("t\0wo", 4))));
  EXPECT_EQ(journal_->id(), id);
  EXPECT_EQ(RunTask(loop_, journal_->Read(Key(1))).value(), "one again");
}

TEST_P(QueueJournalTest, FinishedKeysStayGone) {
  Open();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Put(*journal_, Key(i), "x").ok());
  for (int i = 0; i < 100; ++i) journal_->Done(Key(i), Journal::Urgency::kRides);
  ASSERT_TRUE(Put(*journal_, Key(1000), "last").ok());
  EXPECT_TRUE(absl::IsNotFound(RunTask(loop_, journal_->Read(Key(7))).status()));
  Open();
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1000), "last")));
}

TEST_P(QueueJournalTest, TheNewestWordOfOneBatchCounts) {
  Open();
  int answers = 0;
  const auto count = [&](const absl::Status& status) { answers += status.ok() ? 1 : 0; };
  journal_->Put(Key(1), 1, "a", count);
  journal_->Put(Key(1), 1, "b", count);
  journal_->Put(Key(2), 1, "c", count);
  journal_->Done(Key(2), Journal::Urgency::kRides);
  journal_->Put(Key(3, 1), 1, "page", count);
  journal_->Put(Key(3), 1, "whole", count);
  RunUntil([&] { return answers == 5; });
  Open();
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1), "b"), Pair(Key(3), "whole"),
                                                    Pair(Key(3, 1), "page")));
}

TEST_P(QueueJournalTest, ManyAndLargeRecordsComeBackPageByPage) {
  Open();
  int answers = 0;
  for (int i = 0; i < 2500; ++i)
    journal_->Put(Key(i), 1, std::to_string(i), [&](const absl::Status&) { ++answers; });
  for (int i = 2500; i < 2505; ++i)
    journal_->Put(Key(i), 1, std::string(700'000, 'x'), [&](const absl::Status&) { ++answers; });
  RunUntil([&] { return answers == 2505; });
  EXPECT_THAT(Live(*journal_), SizeIs(2505));
}

INSTANTIATE_TEST_SUITE_P(All, QueueJournalTest,
                         ::testing::Values(Kind::kFiles, Kind::kSqlite, Kind::kMariadb), NameOf);

class StoreJournalTest : public QueueJournalTest {};

TEST_P(StoreJournalTest, LostAnswersAreRepeatedAndWriteOnce) {
  Open();
  lossy_->lose_answers = 3;
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  ASSERT_TRUE(Put(*journal_, Key(2), "two").ok());
  EXPECT_EQ(lossy_->lose_answers, 0);
  EXPECT_THAT(Live(*journal_), SizeIs(2));
}

// Written, its answer lost, and the second try turned away before anybody looked: the next batch
// must not be taken for this one.
TEST_P(StoreJournalTest, ARefusalBehindALostAnswerDoesNotHideTheNextBatch) {
  Open();
  lossy_->lose_append = lossy_->appends + 1;
  lossy_->refuse_append = lossy_->appends + 2;
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  ASSERT_TRUE(Put(*journal_, Key(2), "two").ok());
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1), "one"), Pair(Key(2), "two")));
}

// A completion that comes again says nothing of what was put since.
TEST_P(StoreJournalTest, ARefusedCompletionDoesNotRemoveWhatWasPutAfterIt) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "stale").ok());
  std::optional<absl::Status> put;
  lossy_->refuse_append = lossy_->appends + 1;
  lossy_->at_refusal = [&] {
    journal_->Put(Key(1), 1, "new", [&](absl::Status status) { put = std::move(status); });
  };
  journal_->Done(Key(1), Journal::Urgency::kSoon);
  RunUntil([&] { return put.has_value(); });
  EXPECT_TRUE(put->ok());
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1), "new")));
}

TEST_P(StoreJournalTest, ARefusedCompletionComesAgain) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  lossy_->refuse_append = lossy_->appends + 1;
  journal_->Done(Key(1), Journal::Urgency::kSoon);
  RunUntil([&] { return Rows("queue_entry") == 0; });
}

TEST_P(StoreJournalTest, NewMailIsRefusedWhileTheStoreIsAwayAndOldStatesWait) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  lossy_->away = true;
  std::optional<absl::Status> state, late;
  journal_->Put(Key(1), 1, "deferred", [&](absl::Status status) { state = std::move(status); });
  RunUntil([&] { return !journal_->Ready().ok(); });
  journal_->PutNew(Key(2), 1, "new", [&](absl::Status status) { late = std::move(status); });
  RunUntil([&] { return late.has_value(); });
  EXPECT_TRUE(absl::IsUnavailable(*late));
  EXPECT_FALSE(state.has_value());
  lossy_->away = false;
  RunUntil([&] { return state.has_value(); });
  EXPECT_TRUE(state->ok());
  EXPECT_TRUE(journal_->Ready().ok());
  EXPECT_THAT(Live(*journal_), UnorderedElementsAre(Pair(Key(1), "deferred")));
}

TEST_P(StoreJournalTest, NewMailIsTakenAgainAfterWhatWaitedWasRefused) {
  Open();
  lossy_->away = true;
  std::optional<absl::Status> first, second, third;
  // One batch of its own, and one entry that waits behind it.
  journal_->PutNew(Key(1), 1, std::string(2 << 20, 'x'),
                   [&](absl::Status status) { first = std::move(status); });
  journal_->PutNew(Key(2), 1, "two", [&](absl::Status status) { second = std::move(status); });
  RunUntil([&] { return second.has_value(); });
  EXPECT_TRUE(absl::IsUnavailable(*second));
  lossy_->away = false;
  RunUntil([&] { return first.has_value(); });
  EXPECT_TRUE(first->ok());
  journal_->PutNew(Key(3), 1, "three", [&](absl::Status status) { third = std::move(status); });
  RunUntil([&] { return third.has_value(); });
  EXPECT_TRUE(third->ok());
}

INSTANTIATE_TEST_SUITE_P(All, StoreJournalTest, ::testing::Values(Kind::kSqlite, Kind::kMariadb),
                         NameOf);

}  // namespace
}  // namespace posthorn::delivery_queue
