// What power losses, damage, full disks and failing syncs leave of the segments.

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <thread>

#include "lib/base/strings.h"
#include "lib/file/faults.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"
#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/local_blob_store.h"
#include "store-service/blob/record.h"
#include "store-service/blob/scrubber.h"

namespace posthorn::store_service {
namespace {

TEST(Segment, TornTailIsCutAtEveryByteOfTheLastCommit) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  const BlobRef kept = AppendNow(*store, "kept message", "aux").value();
  const uint64_t before = std::filesystem::file_size(folder.segment(1));
  ASSERT_TRUE(AppendNow(*store, std::string(700, 'x'), "more").ok());
  store.reset();
  const uint64_t whole = std::filesystem::file_size(folder.segment(1));
  for (uint64_t cut = whole - 1; cut >= before; --cut) {
    std::filesystem::resize_file(folder.segment(1), cut);
    store = OpenStore({.directory = folder.blobs()});
    EXPECT_EQ(store->Read(kept, 0, 0).value(), "kept message") << cut;
    EXPECT_TRUE(store->Damage().empty()) << cut;
    store.reset();
    EXPECT_EQ(std::filesystem::file_size(folder.segment(1)), before);
  }
  store = OpenStore({.directory = folder.blobs()});
  const BlobRef next = AppendNow(*store, "after the cut").value();
  EXPECT_EQ(store->Read(next, 0, 0).value(), "after the cut");
}

TEST(Segment, DamageInTheMiddleIsReportedSkippedAndKept) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  std::vector<BlobRef> refs;
  for (int i = 0; i < 3; ++i) refs.push_back(AppendNow(*store, std::string(50, 'a')).value());
  store.reset();
  const uint64_t size = std::filesystem::file_size(folder.segment(1));
  for (uint64_t at = OffsetOf(refs[1].key); at < OffsetOf(refs[2].key) - kHeaderBytes; ++at) {
    Flip(folder.segment(1), at);
    int reports = 0;
    store = OpenStore(
        {.directory = folder.blobs(), .on_damage = [&](const BlobDamage&) { ++reports; }});
    EXPECT_EQ(store->Read(refs[0], 0, 0).value(), std::string(50, 'a'));
    EXPECT_EQ(store->Read(refs[2], 0, 0).value(), std::string(50, 'a'));
    const bool padding = at >= OffsetOf(refs[1].key) + kHeaderBytes + 50;
    const auto read = store->Read(refs[1], 0, 0);
    EXPECT_EQ(read.status().code(), padding ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss)
        << at;
    EXPECT_EQ(reports, padding ? 0 : 1) << at;
    EXPECT_EQ(store->Damage().size(), padding ? 0U : 1U) << at;
    store.reset();
    EXPECT_EQ(std::filesystem::file_size(folder.segment(1)), size);
    Flip(folder.segment(1), at);
  }
}

TEST(Segment, WhatThePowerCutShortIsNotTakenAlongIntoARewrittenOne) {
  const Folder folder;
  const LocalBlobOptions options{.directory = folder.blobs(), .rewrite_share = 0.1};
  auto store = OpenStore(options);
  const BlobRef kept = AppendNow(*store, "kept").value();
  const BlobRef dead = AppendNow(*store, std::string(500, 'd')).value();
  const BlobRef cut = AppendNow(*store, std::string(50, 'c')).value();
  store.reset();
  Flip(folder.segment(1), OffsetOf(cut.key) + kHeaderBytes);  // its commit mark is there
  store = OpenStore(options);
  EXPECT_EQ(store->Destroy({dead.key}).value(), std::vector<uint64_t>{dead.key});
  for (int start = 0; start < 2; ++start) {
    EXPECT_EQ(store->Read(kept, 0, 0).value(), "kept");
    EXPECT_TRUE(store->ForEach([](const BlobRecord&) { return true; }, nullptr).ok());
    EXPECT_TRUE(store->Damage().empty());
    store.reset();
    store = OpenStore(options);
  }
}

TEST(Segment, MessageThatContainsAForgedRecordIsNotTakenForOne) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  const BlobRef first = AppendNow(*store, "first").value();
  // A sender who knows the format, but not the salt, and whose own record's header is then damaged.
  std::string forged(64, 'x');
  RecordHeader header;
  header.length = header.original_length = 8;
  for (uint64_t place = 0; place < 4'096; place += 8) {
    const HeaderBytes bytes = EncodeHeader(header, 0, OffsetOf(first.key) + place);
    forged.append(bytes.data(), bytes.size());
  }
  const BlobRef evil = AppendNow(*store, forged).value();
  const BlobRef last = AppendNow(*store, "last").value();
  store.reset();
  Flip(folder.segment(1), OffsetOf(evil.key) + 10);
  store = OpenStore({.directory = folder.blobs(), .on_damage = [](const BlobDamage&) {}});
  std::vector<uint64_t> keys;
  ASSERT_TRUE(store
                  ->ForEach(
                      [&](const BlobRecord& record) {
                        keys.push_back(record.ref.key);
                        return true;
                      },
                      nullptr)
                  .ok());
  EXPECT_EQ(keys, std::vector<uint64_t>({first.key, last.key}));
}

TEST(BlobStore, FailedSyncFailsItsCallersSealsTheSegmentAndTheNextOneGoesOn) {
  const Folder folder;
  file::Faults faults(file::Real());
  auto store = OpenStore({.directory = folder.blobs(), .system = &faults});
  const BlobRef before = AppendNow(*store, "before").value();
  faults.FailSync("segment.commit");
  EXPECT_EQ(AppendNow(*store, "failed").status().code(), absl::StatusCode::kUnavailable);
  const BlobRef after = AppendNow(*store, "after").value();
  EXPECT_NE(SegmentOf(after.key), SegmentOf(before.key));
  faults.FailSync("segment.upload");
  EXPECT_EQ(UploadNow(*store, "failed upload").status().code(), absl::StatusCode::kUnavailable);
  const BlobRef uploaded = UploadNow(*store, "good upload").value();
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(store->Read(before, 0, 0).value(), "before");
    EXPECT_EQ(store->Read(after, 0, 0).value(), "after");
    EXPECT_EQ(store->Read(uploaded, 0, 0).value(), "good upload");
    EXPECT_TRUE(store->Damage().empty());
    store.reset();
    store = OpenStore({.directory = folder.blobs(), .system = &faults});
  }
}

TEST(BlobStore, FullDiskIsResourceExhaustedAndReadingGoesOn) {
  const Folder folder;
  file::Faults faults(file::Real());
  const auto store = OpenStore({.directory = folder.blobs(), .system = &faults});
  const BlobRef before = AppendNow(*store, "before").value();
  faults.DiskFull(1'000);
  EXPECT_EQ(AppendNow(*store, std::string(2'000, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(UploadNow(*store, std::string(20'000, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(store->Read(before, 0, 0).value(), "before");
  faults.Clear();
  const BlobRef after = AppendNow(*store, "after").value();
  EXPECT_EQ(SegmentOf(after.key), SegmentOf(before.key));
  EXPECT_EQ(store->Read(after, 0, 0).value(), "after");
  EXPECT_TRUE(UploadNow(*store, std::string(20'000, 'x')).ok());
}

TEST(Scrubber, ReadsEverythingBackAgainAndAgainAndReportsDamageOnce) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  const BlobRef ref = AppendNow(*store, std::string(5'000, 'x')).value();
  ASSERT_TRUE(AppendNow(*store, "another").ok());
  Flip(folder.segment(1), OffsetOf(ref.key) + 3'000);
  {
    Scrubber scrubber(*store, {.bytes_per_second = 100'000'000, .pause_ms = 1});
    scrubber.Set(Scrubber::Mode::kReads);
    EXPECT_TRUE(scrubber.WaitForPasses(3, 60'000));
  }
  ASSERT_EQ(store->Damage().size(), 1U);
  EXPECT_EQ(store->Damage()[0].offset, OffsetOf(ref.key));
}

// Passes on what it is told, and counts who reads.
class CountingBlobs final : public BlobStore {
 public:
  absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>&) override {
    ++begun;
    while (visit({}) && endless) std::this_thread::yield();
    return absl::OkStatus();
  }
  void Append(std::string, std::string, AppendDone) override {}
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload() override { return nullptr; }
  absl::StatusOr<std::string> Read(const BlobRef&, uint64_t, uint64_t) override { return ""; }
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef&) override {
    return nullptr;
  }
  absl::StatusOr<std::string> ReadAux(const BlobRef&) override { return ""; }
  absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>&) override {
    return std::vector<uint64_t>();
  }
  std::vector<BlobDamage> Damage() override { return {}; }
  BlobStats Stats() override { return {}; }
  BlobPlace Place() override { return {}; }

  std::atomic<int> begun = 0;
  std::atomic<bool> endless = false;
};

TEST(Scrubber, RestsUntilItIsToldToReadAndEndsItsPassWhenItMayNoMore) {
  CountingBlobs blobs;
  Scrubber scrubber(blobs, {.pause_ms = 1});
  EXPECT_FALSE(scrubber.WaitForPasses(1, 20));
  EXPECT_EQ(blobs.begun, 0);
  scrubber.Set(Scrubber::Mode::kReads);
  EXPECT_TRUE(scrubber.WaitForPasses(1, 60'000));
  blobs.endless = true;
  for (const int before = blobs.begun; blobs.begun == before;) std::this_thread::yield();
  const uint64_t passes = scrubber.passes();
  scrubber.Set(Scrubber::Mode::kRests);
  EXPECT_FALSE(scrubber.WaitForPasses(passes + 1, 20)) << "a pass that was broken off is none";
  blobs.endless = false;
  scrubber.Set(Scrubber::Mode::kReads);
  EXPECT_TRUE(scrubber.WaitForPasses(passes + 1, 60'000));
}

// --- power loss ---

std::string Promise(uint64_t number, const BlobRef& ref) {
  return base::StrCat("stored ", number, " ", ref.key, " ", ref.size);
}

// Appends from four threads, uploads, a restart, and compaction; every answer is a mark.
std::vector<file::Operation> RecordRun(const std::string& root) {
  file::Recorder recorder(file::Real(), root);
  const LocalBlobOptions options{
      .directory = root + "/blobs", .system = &recorder, .roll_bytes = 20'000};
  auto store = OpenStore(options);
  std::mutex mutex;
  std::vector<uint64_t> keys;
  const auto append = [&](uint64_t number) {
    const auto ref = number % 5 == 0 ? UploadNow(*store, BodyOf(number))
                                     : AppendNow(*store, BodyOf(number), "aux");
    ASSERT_TRUE(ref.ok()) << ref.status();
    const std::lock_guard lock(mutex);
    recorder.Mark(Promise(number, *ref));
    keys.push_back(ref->key);
  };
  for (uint64_t phase = 0; phase < 2; ++phase) {
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (uint64_t i = 0; i < 8; ++i) append(phase * 1'000 + t * 100 + i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<uint64_t> dead;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (i % 3 != 0) dead.push_back(keys[i]);
    }
    // Whoever destroys has promised to nobody that these may be read from now on.
    for (const uint64_t key : dead) recorder.Mark(base::StrCat("destroyed ", key));
    EXPECT_TRUE(store->Destroy(dead).ok());
    store.reset();
    store = OpenStore(options);
  }
  store.reset();
  return recorder.Log();
}

// What the promises made by then demand: key to (size, body).
std::map<uint64_t, std::pair<uint64_t, std::string>> Demanded(
    const std::vector<std::string>& marks) {
  std::map<uint64_t, std::pair<uint64_t, std::string>> demanded;
  for (const std::string& mark : marks) {
    const std::vector<std::string_view> words = base::Split(mark, ' ');
    const auto number = base::ParseInt<uint64_t>(words[1]).value();
    if (words[0] == "destroyed") {
      demanded.erase(number);
    } else {
      demanded[base::ParseInt<uint64_t>(words[2]).value()] = {
          base::ParseInt<uint64_t>(words[3]).value(), BodyOf(number)};
    }
  }
  return demanded;
}

// Empty when everything that was promised is there after this power loss; else what is wrong.
std::string WrongAfter(const std::vector<file::Operation>& log, const file::PowerLoss& loss) {
  const Folder lost;
  const absl::Status made = file::Materialise(log, loss, lost.root);
  if (!made.ok()) return std::string(base::Message(made));
  auto store =
      OpenLocalBlobStore({.directory = lost.blobs(), .on_damage = [](const BlobDamage&) {}});
  if (!store.ok()) return std::string(base::Message(store.status()));
  for (const auto& [key, wanted] : Demanded(file::MarksBefore(log, loss.count))) {
    const auto read = (*store)->Read({key, wanted.first}, 0, 0);
    if (!read.ok())
      return base::StrCat(wanted.second.substr(0, 20), ": ", base::Message(read.status()));
    if (*read != wanted.second) return "wrong bytes";
  }
  const absl::Status walked = (*store)->ForEach([](const BlobRecord&) { return true; }, nullptr);
  if (!walked.ok()) return std::string(base::Message(walked));
  for (const BlobDamage& damage : (*store)->Damage()) {
    return base::StrCat("damage in ", damage.segment, " at ", damage.offset, ": ", damage.what);
  }
  if (!AppendNow(**store, "it goes on").ok()) return "nothing can be appended";
  return "";
}

// The first power loss that breaks a promise, in words; empty when none does.
std::string FirstWrong(const std::vector<file::Operation>& log) {
  for (uint64_t count = 0; count <= log.size(); ++count) {
    for (const file::Unsynced unsynced :
         {file::Unsynced::kDropped, file::Unsynced::kKept, file::Unsynced::kMixed}) {
      const std::string what = WrongAfter(log, {count, unsynced, count * 31 + 7});
      if (!what.empty()) return base::StrCat("at ", count, ": ", what);
    }
  }
  return "";
}

TEST(PowerLoss, EverythingAnsweredIsReadableAfterAnyPrefix) {
  const Folder folder;
  EXPECT_EQ(FirstWrong(RecordRun(folder.root)), "");
}

TEST(PowerLoss, LeavingOutAnySyncIsNoticed) {
  if (!file::HasTestHooks())
    GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  const Folder whole;
  const std::set<std::string> names = file::SyncNames(RecordRun(whole.root));
  EXPECT_EQ(names, std::set<std::string>(
                       {"segment.commit", "segment.dir", "segment.head", "segment.recovered",
                        "segment.rewrite", "segment.rewrite.dir", "segment.upload",
                        "store.found.dir", "store.parent.dir", "table.dir", "table.file"}));
  for (const std::string& name : names) {
    if (name == "segment.recovered" || name == "store.found.dir") continue;  // tests/proof
    const Folder folder;
    file::SkipSyncForTest(name);
    const std::vector<file::Operation> log = RecordRun(folder.root);
    file::SkipSyncForTest("");
    EXPECT_NE(FirstWrong(log), "") << name;
  }
}

}  // namespace
}  // namespace posthorn::store_service
