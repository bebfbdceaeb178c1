// What only a journal in the store has: epochs and leases, replicas that inherit, and what the
// store tells of them; over SQLite and MariaDB.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/journal/journal_fixture.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class QueueLeaseTest : public QueueJournalTest {};

TEST_P(QueueLeaseTest, AnEpochThatIsOverWritesNothingAndIsTold) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  lossy_->away = true;  // frozen, and another process of its name begins
  Lossy healthy(*client_);
  StoreJournalOptions options{
      .name = "a", .instance = std::string(16, 'x'), .watch = milliseconds(100)};
  other_ = RunTask(loop_, OpenStoreJournal(loop_, healthy, std::move(options))).value();
  EXPECT_TRUE(other_->interrupted());
  lossy_->away = false;
  journal_->Done(Key(1), Journal::Urgency::kSoon);
  RunUntil([&] { return over_ == 1; });
  EXPECT_TRUE(absl::IsUnavailable(Put(*journal_, Key(2), "late")));
  EXPECT_EQ(journal_->LeaseLeft(), milliseconds(0));
  EXPECT_THAT(Live(*other_), UnorderedElementsAre(Pair(Key(1), "one")));
  EXPECT_EQ(over_, 1);
  other_.reset();
}

TEST_P(QueueLeaseTest, ASecondProcessOfANameIsRefusedInWordsAndDisturbsNothing) {
  StoreJournalOptions first{.name = "a",
                            .instance = std::string(16, 'x'),
                            .address = "10.0.0.1:7002",
                            .renew = milliseconds(20)};
  other_ = RunTask(loop_, OpenStoreJournal(loop_, *lossy_, first)).value();
  StoreJournalOptions options{.name = "a", .instance = std::string(16, 'y')};
  const auto second = RunTask(loop_, OpenStoreJournal(loop_, *lossy_, std::move(options)));
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE(base::Message(second.status())
                  .starts_with("the name \"a\" is in use by 10.0.0.1:7002 (started 2"))
      << second.status();
  EXPECT_TRUE(Put(*other_, Key(1), "one").ok());
}

// The time in which nobody could say a word does not count against who lives.
TEST_P(QueueLeaseTest, WhoLivesKeepsItsNameThoughTheStoreWasAwayForLong) {
  constexpr milliseconds kWatch{1500};
  Open();
  Lossy late(*client_);
  int calls = 0;
  late.at_call = [&](std::string_view) {
    ++calls;
    late.away = lossy_->away = calls == 1;
  };
  const auto back = loop_.After(kWatch + milliseconds(100), [&] { late.away = false; });
  StoreJournalOptions options{.name = "a", .instance = std::string(16, 'y'), .watch = kWatch};
  const auto second = RunTask(loop_, OpenStoreJournal(loop_, late, std::move(options)));
  EXPECT_GT(calls, 1);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status())) << second.status();
  EXPECT_TRUE(Put(*journal_, Key(1), "one").ok());
}

TEST_P(QueueLeaseTest, SummariesNameTheOwnersAndWhatWaits) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  ASSERT_TRUE(Put(*journal_, Key(2), "two").ok());
  const auto summaries = RunTask(loop_, store_->journals().Summaries());
  ASSERT_TRUE(summaries.ok()) << summaries.status();
  ASSERT_THAT(*summaries, SizeIs(1));
  EXPECT_EQ((*summaries)[0].owner(), "a");
  EXPECT_EQ((*summaries)[0].entries(), 2u);
  EXPECT_GT((*summaries)[0].lease_left_ms(), 60'000);
  EXPECT_FALSE((*summaries)[0].closed());
}

TEST_P(QueueLeaseTest, TwoLivingProcessesOfOneNameAreNoticed) {
  Open();
  StoreJournalOptions options{.name = "a", .instance = std::string(16, 'x'), .reopened = true};
  const auto second = RunTask(loop_, OpenStoreJournal(loop_, *lossy_, std::move(options)));
  EXPECT_TRUE(absl::IsAlreadyExists(second.status()));
}

TEST_P(QueueLeaseTest, ADeadReplicasMailIsInheritedOnce) {
  Open();
  int answers = 0;
  for (int i = 0; i < 1500; ++i)
    journal_->Put(Key(i), 7, std::to_string(i), [&](const absl::Status&) { ++answers; });
  RunUntil([&] { return answers == 1500; });
  std::map<EntryKey, std::string> first, second;
  std::vector<bool> ends;
  std::unique_ptr<Journal> third = OpenFor("c");
  other_ = OpenFor("b");
  const auto heir = [&ends](std::map<EntryKey, std::string>& into) {
    return Journal::Heir{
        [&into](EntryKey key, std::string record) { into[key] = std::move(record); },
        [&ends](bool interrupted) { ends.push_back(interrupted); }};
  };
  other_->SetHeir(heir(first));
  third->SetHeir(heir(second));
  // As if killed: nothing is said, and the lease ends (a last renewal may still be on its way).
  auto db = database_->Connect().value();
  journal_.reset();
  RunUntil([&] {
    EXPECT_TRUE(
        db->Run("UPDATE queue_journal SET expires_ms=1,beat=beat+1 WHERE owner=?1", "a").ok());
    return ends.size() == 1;
  });
  EXPECT_EQ(first.size() + second.size(), 1500u);
  EXPECT_TRUE(first.empty() || second.empty());
  EXPECT_EQ(Rows("queue_journal"), 2);
  Journal& owner = first.empty() ? *third : *other_;
  EXPECT_THAT(Live(owner), SizeIs(1500));
  EXPECT_TRUE(ends[0]);
  for (int i = 0; i < 1500; ++i) owner.Done(Key(i), Journal::Urgency::kSoon);
  RunUntil([&] { return Rows("queue_entry") == 0; });
}

// An outage longer than the leases: whoever is back first does not take the others for dead.
TEST_P(QueueLeaseTest, ReplicasThatLiveKeepTheirMailThoughTheStoreWasAwayForLong) {
  Open();
  Lossy early(*client_);
  StoreJournalOptions options{
      .name = "b", .instance = std::string(16, 'b'), .renew = milliseconds(20)};
  other_ = RunTask(loop_, OpenStoreJournal(loop_, early, std::move(options))).value();
  std::vector<EntryKey> got;
  other_->SetHeir({[&](EntryKey key, const std::string&) { got.push_back(key); }, [](bool) {}});
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  early.away = lossy_->away = true;
  RunUntil([&] { return !journal_->Ready().ok() && !other_->Ready().ok(); });
  auto db = database_->Connect().value();
  ASSERT_TRUE(db->Run("UPDATE queue_journal SET expires_ms=1").ok());
  int renewals = 0;
  early.at_call = [&](std::string_view path) {
    if (path == rpc::store::kQueueJournalRenew.path) ++renewals;
  };
  early.away = false;
  RunUntil([&] { return renewals > 5; });
  lossy_->away = false;
  EXPECT_TRUE(Put(*journal_, Key(2), "two").ok());
  EXPECT_EQ(over_, 0);
  EXPECT_THAT(got, IsEmpty());
  other_.reset();
}

TEST_P(QueueLeaseTest, WhoDoesNotComeBackAfterTheStoreDidIsInherited) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  journal_.reset();
  StoreJournalOptions options{.name = "b",
                              .instance = std::string(16, 'b'),
                              .renew = milliseconds(20),
                              .grace = milliseconds(50)};
  other_ = RunTask(loop_, OpenStoreJournal(loop_, *lossy_, std::move(options))).value();
  lossy_->away = true;
  RunUntil([&] { return !other_->Ready().ok(); });
  auto db = database_->Connect().value();
  ASSERT_TRUE(db->Run("UPDATE queue_journal SET expires_ms=1 WHERE owner=?1", "a").ok());
  std::vector<EntryKey> got;
  other_->SetHeir({[&](EntryKey key, const std::string&) { got.push_back(key); }, [](bool) {}});
  lossy_->away = false;
  RunUntil([&] { return got.size() == 1; });
}

TEST_P(QueueLeaseTest, WhoComesBackAfterItsMailWasInheritedBeginsANewJournal) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  lossy_->away = true;
  RunUntil([&] { return !journal_->Ready().ok(); });
  Lossy healthy(*client_);
  StoreJournalOptions options{
      .name = "b", .instance = std::string(16, 'b'), .renew = milliseconds(20)};
  other_ = RunTask(loop_, OpenStoreJournal(loop_, healthy, std::move(options))).value();
  std::map<EntryKey, std::string> got;
  bool ended = false;
  other_->SetHeir({[&](EntryKey key, std::string record) { got[key] = std::move(record); },
                   [&](bool) { ended = true; }});
  auto db = database_->Connect().value();
  RunUntil([&] {
    EXPECT_TRUE(
        db->Run("UPDATE queue_journal SET expires_ms=1,beat=beat+1 WHERE owner=?1", "a").ok());
    return ended;
  });
  EXPECT_THAT(got, UnorderedElementsAre(Pair(Key(1), "one")));
  lossy_->away = false;
  RunUntil([&] { return over_ == 1; });
  const std::string old = journal_->id();
  journal_ = OpenFor("a", true);
  EXPECT_NE(journal_->id(), old);
  EXPECT_THAT(Live(*journal_), IsEmpty());
  EXPECT_FALSE(journal_->interrupted());
  other_.reset();
}

TEST_P(QueueLeaseTest, AClosedJournalWaitsForItsOwnerAndThenGoesToAnother) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  RunTask(loop_, journal_->Close());
  EXPECT_TRUE(absl::IsUnavailable(Put(*journal_, Key(2), "late")));
  Open();
  EXPECT_FALSE(journal_->interrupted());
  EXPECT_THAT(Live(*journal_), SizeIs(1));
}

// What is sent now could not be noted any more, and another replica would send it again.
TEST_P(QueueLeaseTest, WhoEndsHasNoLeaseLeftForAFinalDot) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  std::vector<milliseconds> left;
  lossy_->at_call = [&](std::string_view path) {
    if (path == rpc::store::kQueueJournalRenew.path) left.push_back(journal_->LeaseLeft());
  };
  RunTask(loop_, journal_->Close());
  lossy_->at_call = nullptr;
  ASSERT_FALSE(left.empty());
  EXPECT_EQ(left.back(), milliseconds(0));
}

TEST_P(QueueLeaseTest, WhoEndsInheritsNothing) {
  Open();
  ASSERT_TRUE(Put(*journal_, Key(1), "one").ok());
  other_ = OpenFor("b");
  auto db = database_->Connect().value();
  journal_.reset();
  int renewals = 0;
  lossy_->at_call = [&](std::string_view path) {
    if (path == rpc::store::kQueueJournalRenew.path) ++renewals;
  };
  // It is told of what can be claimed, and has nowhere to put it.
  RunUntil([&] {
    EXPECT_TRUE(
        db->Run("UPDATE queue_journal SET expires_ms=1,beat=beat+1 WHERE owner=?1", "a").ok());
    return renewals > 5;
  });
  lossy_->at_call = nullptr;
  std::vector<EntryKey> got;
  other_->SetHeir({[&](EntryKey key, const std::string&) { got.push_back(key); }, [](bool) {}});
  RunTask(loop_, other_->Close());
  EXPECT_THAT(got, IsEmpty());
}

TEST_P(QueueLeaseTest, TheCollectorIsAnsweredFromTheTables) {
  Open();
  EXPECT_EQ(RunTask(loop_, store_->journals().OldestUnfinishedMs()).value(), INT64_MAX);
  const EntryKey old{base::MessageId::New(), 0};
  ASSERT_TRUE(Put(*journal_, old, "one", 7).ok());
  ASSERT_TRUE(Put(*journal_, {base::MessageId::New(), 0}, "two", UINT64_MAX).ok());
  journal_.reset();  // nobody needs to be there
  EXPECT_THAT(RunTask(loop_, store_->journals().Held({7, 8, UINT64_MAX})).value(),
              ::testing::ElementsAre(7, UINT64_MAX));
  EXPECT_EQ(RunTask(loop_, store_->journals().OldestUnfinishedMs()).value(), old.message.millis());
}

TEST_P(QueueLeaseTest, LeaseIsRenewedByTheDatabasesClock) {
  Open();
  const milliseconds first = journal_->LeaseLeft();
  EXPECT_GT(first, milliseconds(60000));
  EXPECT_LE(first, milliseconds(times_.lease_ms));
  const int calls = lossy_->calls;
  RunUntil([&] { return lossy_->calls > calls + 3; });
  EXPECT_GT(journal_->LeaseLeft(), milliseconds(times_.lease_ms - 5000));
}

INSTANTIATE_TEST_SUITE_P(All, QueueLeaseTest, ::testing::Values(Kind::kSqlite, Kind::kMariadb),
                         NameOf);

}  // namespace
}  // namespace posthorn::delivery_queue
