// The journal's promises, held against every power loss a recorded run could have met.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "delivery-queue/journal/local_journal.h"
#include "lib/base/strings.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::delivery_queue {
namespace {

constexpr int kEntries = 40;
constexpr uint64_t kFileBytes = 600;  // so that files begin, end and are removed all the time

EntryKey Key(int n) { return {base::MessageId::Derive(base::MessageId(), std::to_string(n)), 0}; }

absl::Status PutAndWait(net::Loop& loop, Journal& journal, int n, const std::string& record) {
  absl::Status answer = base::Internal("no answer");
  journal.Put(Key(n), 1, record, [&](absl::Status status) {
    answer = std::move(status);
    loop.Stop();
  });
  loop.Run();
  return answer;
}

// Entries come; all but every tenth are finished three entries later. Marks: "put N" once it was
// answered, "done N" before it is finished, "gone N" when a later answer says that this, too, is
// durable.
std::vector<file::Operation> RecordRun() {
  testing::TempDir directory;
  net::Loop loop;
  file::Recorder recorder(file::Real(), directory.path());
  auto journal =
      OpenLocalJournal(loop, recorder, {directory.path() + "/journal", kFileBytes}).value();
  for (int n = 0; n < kEntries; ++n) {
    if (n >= 3 && (n - 3) % 10 != 0) {
      recorder.Mark(base::StrCat("done ", n - 3));
      journal->Done(Key(n - 3), Journal::Urgency::kRides);
    }
    EXPECT_TRUE(
        PutAndWait(loop, *journal, n, base::StrCat("entry ", n, std::string(40, '.'))).ok());
    recorder.Mark(base::StrCat("put ", n));
    if (n >= 3 && (n - 3) % 10 != 0) recorder.Mark(base::StrCat("gone ", n - 3));
  }
  journal.reset();
  return recorder.Log();
}

// What is wrong after this power loss; empty: nothing.
std::string Violation(const std::vector<file::Operation>& log, const file::PowerLoss& loss) {
  testing::TempDir directory;
  if (!file::Materialise(log, loss, directory.path()).ok()) return "cannot be replayed";
  net::Loop loop;
  auto journal = OpenLocalJournal(loop, file::Real(), {directory.path() + "/journal", kFileBytes});
  if (!journal.ok()) return base::StrCat("cannot be opened: ", base::Message(journal.status()));
  std::set<EntryKey> live;
  const auto visit = [&](EntryKey key, const std::string&) { live.insert(key); };
  if (!testing::RunTask(loop, (*journal)->ForEach(visit)).ok()) return "cannot be read";
  std::set<int> put, done, gone;
  for (const std::string& mark : file::MarksBefore(log, loss.count)) {
    const int n =
        base::ParseInt<int>(std::string_view(mark).substr(mark.find(' ') + 1)).value_or(-1);
    (mark.starts_with("put") ? put : mark.starts_with("done") ? done : gone).insert(n);
  }
  for (const int n : put)
    if (!done.contains(n) && !live.contains(Key(n))) return base::StrCat("entry ", n, " is lost");
  for (const int n : gone)
    if (live.contains(Key(n))) return base::StrCat("entry ", n, " came back");
  return {};
}

// The first violation of all power losses.
std::string FirstViolation(const std::vector<file::Operation>& log) {
  for (uint64_t count = 0; count <= log.size(); ++count) {
    for (const file::Unsynced unsynced :
         {file::Unsynced::kDropped, file::Unsynced::kKept, file::Unsynced::kMixed}) {
      const std::string violation = Violation(log, {count, unsynced, count});
      if (!violation.empty()) return base::StrCat("after ", count, " operations: ", violation);
    }
  }
  return {};
}

TEST(JournalPowerLoss, WhatWasAnsweredIsThereAndWhatIsFinishedStaysGone) {
  EXPECT_EQ(FirstViolation(RecordRun()), "");
}

TEST(JournalPowerLoss, LeavingOutTheSyncOfABatchIsNoticed) {
  if (!file::HasTestHooks())
    GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  file::SkipSyncForTest("journal.batch");
  const std::vector<file::Operation> log = RecordRun();
  file::SkipSyncForTest("");
  EXPECT_NE(FirstViolation(log), "");
}

TEST(JournalPowerLoss, LeavingOutTheSyncOfANewFilesNameIsNoticed) {
  if (!file::HasTestHooks())
    GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  file::SkipSyncForTest("journal.directory");
  const std::vector<file::Operation> log = RecordRun();
  file::SkipSyncForTest("");
  EXPECT_NE(FirstViolation(log), "");
}

}  // namespace
}  // namespace posthorn::delivery_queue
