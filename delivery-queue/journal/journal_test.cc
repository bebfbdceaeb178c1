#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/journal/record.h"
#include "lib/base/strings.h"
#include "lib/file/faults.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::Contains;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

EntryKey Key(int n) { return {base::MessageId::Derive(base::MessageId(), std::to_string(n)), 0}; }

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() {
    char name[] = "/tmp/posthorn-journal-XXXXXX";
    directory_ = mkdtemp(name);
    Open();
  }
  ~JournalTest() override {
    journal_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Open(uint64_t file_bytes = 64U << 20) {
    journal_.reset();
    auto opened = OpenLocalJournal(loop_, file::Real(), {directory_ + "/journal", file_bytes});
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal_ = *std::move(opened);
  }
  // Runs the loop until `n` answers have come.
  absl::Status PutAll(const std::vector<std::pair<EntryKey, std::string>>& records) {
    absl::Status last;
    size_t waiting = records.size();
    for (const auto& [key, record] : records) {
      journal_->Put(key, 1, record, [&](absl::Status status) {
        last.Update(status);
        if (--waiting == 0) loop_.Stop();
      });
    }
    loop_.Run();
    return last;
  }
  std::map<std::string, std::string> Live() {
    std::map<std::string, std::string> live;
    EXPECT_TRUE(testing::RunTask(loop_, journal_->ForEach([&](EntryKey key, std::string record) {
      live[key.message.ToString()] = std::move(record);
    })).ok());
    return live;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ + "/journal"))
      if (entry.path().extension() == ".journal") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  net::Loop loop_;
  std::string directory_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, WhatWasAnsweredIsThereAfterARestart) {
  ASSERT_TRUE(PutAll({{Key(1), "one"}, {Key(2), "two"}, {Key(1), "one again"}}).ok());
  const std::string id = journal_->id();
  Open();
  EXPECT_THAT(Live(), UnorderedElementsAre(Pair(Key(1).message.ToString(), "one again"),
                                           Pair(Key(2).message.ToString(), "two")));
  EXPECT_EQ(journal_->id(), id);
}

TEST_F(JournalTest, DoneKeysStayGoneAndTheirFilesToo) {
  ASSERT_TRUE(PutAll({{Key(1), "one"}, {Key(2), "two"}}).ok());
  journal_->Done(Key(1), Journal::Urgency::kRides);
  journal_->Done(Key(2), Journal::Urgency::kSoon);
  Open();  // closing commits what was handed in
  EXPECT_THAT(Live(), SizeIs(0));
  Open();
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(JournalTest, ATornTailIsIgnoredAtEveryByte) {
  ASSERT_TRUE(PutAll({{Key(1), "kept"}}).ok());
  const std::string path = Files().back();
  const uint64_t durable = std::filesystem::file_size(path);
  std::string torn;
  AppendRecord(torn, RecordKind::kPut, Key(2), "never answered");
  AppendRecord(torn, RecordKind::kCommit, {}, {});
  journal_.reset();
  for (size_t length = 0; length < torn.size(); ++length) {
    std::filesystem::resize_file(path, durable);
    std::ofstream(path, std::ios::app | std::ios::binary) << torn.substr(0, length);
    Open();
    ASSERT_THAT(Live(), UnorderedElementsAre(Pair(Key(1).message.ToString(), "kept"))) << length;
    journal_.reset();
  }
}

TEST_F(JournalTest, DamageInTheMiddleCostsOnlyThatRecord) {
  ASSERT_TRUE(PutAll({{Key(1), "first"}}).ok());
  ASSERT_TRUE(PutAll({{Key(2), "second"}}).ok());
  const std::string path = Files().back();
  journal_.reset();
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(kRecordHeader));
  file << "FIRST";
  file.close();
  Open();
  EXPECT_THAT(Live(), UnorderedElementsAre(Pair(Key(2).message.ToString(), "second")));
}

TEST_F(JournalTest, MostlyFinishedFilesAreRewritten) {
  Open(4096);
  std::vector<std::pair<EntryKey, std::string>> records;
  for (int i = 0; i < 200; ++i) records.emplace_back(Key(i), std::string(100, static_cast<char>('a' + i % 26)));
  for (const auto& record : records) ASSERT_TRUE(PutAll({record}).ok());
  for (int i = 0; i < 200; ++i)
    if (i % 40 != 0) journal_->Done(Key(i), Journal::Urgency::kSoon);
  ASSERT_TRUE(PutAll({{Key(1000), "last"}}).ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(PutAll({{Key(1000), "last"}}).ok());
  EXPECT_LT(Files().size(), 8U);
  for (int i = 0; i < 200; i += 40) {
    const auto read = testing::RunTask(loop_, journal_->Read(Key(i)));
    ASSERT_TRUE(read.ok()) << i << read.status();
    EXPECT_EQ(*read, records[static_cast<size_t>(i)].second);
  }
  EXPECT_EQ(testing::RunTask(loop_, journal_->Read(Key(1))).status().code(), absl::StatusCode::kNotFound);
  Open();
  EXPECT_THAT(Live(), SizeIs(6));
  EXPECT_THAT(Live(), Contains(Pair(Key(1000).message.ToString(), "last")));
}

TEST_F(JournalTest, WhatCannotBeReadForAMomentIsNotForgotten) {
  file::Faults faults(file::Real());
  journal_ = *OpenLocalJournal(loop_, faults, {directory_ + "/unreadable", 1U << 20});
  ASSERT_TRUE(PutAll({{Key(1), "one"}}).ok());
  faults.FailReads();
  const auto all = testing::RunTask(loop_, journal_->ForEach([](EntryKey, std::string) {}));
  EXPECT_TRUE(absl::IsUnavailable(all)) << all;
  faults.Clear();
  EXPECT_THAT(Live(), SizeIs(1));
}

TEST_F(JournalTest, EndsWhileTheDiskIsFull) {
  file::Faults faults(file::Real());
  auto opened = OpenLocalJournal(loop_, faults, {directory_ + "/full", 1U << 20});
  ASSERT_TRUE(opened.ok()) << opened.status();
  journal_ = *std::move(opened);
  ASSERT_TRUE(PutAll({{Key(1), "one"}}).ok());
  faults.DiskFull(0);
  journal_->Done(Key(1), Journal::Urgency::kRides);
  journal_.reset();  // comes back: the completion is given up, its message is there after a restart
  faults.DiskFull(1 << 20);
  auto again = OpenLocalJournal(loop_, faults, {directory_ + "/full", 1U << 20});
  ASSERT_TRUE(again.ok()) << again.status();
  journal_ = *std::move(again);
  EXPECT_THAT(Live(), SizeIs(1));
}

TEST(JournalRecord, GarbageIsNeverARecord) {
  std::string file = "PHJ1 something else entirely, and long enough to hold a header of a record";
  AppendRecord(file, RecordKind::kPut, Key(1), "body");
  AppendRecord(file, RecordKind::kCommit, {}, {});
  RecordScan scan(file);
  const auto found = scan.Next();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->header.key, Key(1));
  EXPECT_FALSE(found->damaged);
  EXPECT_EQ(scan.damaged(), 1U);
}

}  // namespace
}  // namespace posthorn::delivery_queue
