// Several stores on one folder.

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "lib/file/faults.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/blob/segment_table.h"

namespace posthorn::store_service {
namespace {

// All waiting is left out: what must happen between two rounds of a collector happens in the tests.
constexpr SharedTimes kAtOnce{.abandoned_ms = 0, .settle_ms = 0, .keep_ms = 0};

// A database that can be away.
class AbsentRegistry : public MemorySegmentRegistry {
 public:
  absl::StatusOr<SegmentRow> Find(uint64_t number) override {
    if (away) return base::Unavailable("no database");
    return MemorySegmentRegistry::Find(number);
  }
  std::atomic<bool> away{false};
};

class Shared : public testing::Test {
 protected:
  LocalBlobOptions Options(std::string writer) {
    return {.directory = folder_.blobs(),
            .roll_bytes = 20'000,
            .registry = &registry_,
            .writer = std::move(writer),
            .shared = kAtOnce};
  }
  std::unique_ptr<BlobStore> Open(std::string writer) { return OpenStore(Options(writer)); }
  SegmentState StateOf(uint64_t number) { return registry_.Find(number)->state; }
  std::string Path(uint64_t number, uint32_t generation) const {
    return base::StrCat(folder_.blobs(), "/segments/", SegmentName(number, generation));
  }

  Folder folder_;
  AbsentRegistry registry_;
};

TEST_F(Shared, EachStoreReadsWhatTheOthersWriteAtOnce) {
  const auto a = Open("store-a");
  const auto b = Open("store-b");
  for (int i = 0; i < 50; ++i) {
    const BlobRef from_a = AppendNow(*a, BodyOf(i), "aux a").value();
    EXPECT_EQ(b->Read(from_a, 0, 0).value(), BodyOf(i));
    EXPECT_EQ(b->ReadAux(from_a).value(), "aux a");
    const std::string large(300'000 + i, 'x');
    const BlobRef from_b = UploadNow(*b, large).value();
    EXPECT_EQ(a->Read(from_b, 0, 0).value(), large);
    auto reader = a->OpenReader(from_b).value();
    std::string read;
    for (std::string part = reader->Next(1 << 20).value(); !part.empty();
         part = reader->Next(1 << 20).value()) {
      read += part;
    }
    EXPECT_EQ(read, large);
    EXPECT_NE(SegmentOf(from_a.key), SegmentOf(from_b.key));
  }
  EXPECT_TRUE(a->Damage().empty());
  EXPECT_TRUE(b->Damage().empty());
}

// What a neighbour wrote since lies beyond what this store has seen: without the database nobody can
// say that it is not there, and mail that is not there would be returned.
TEST_F(Shared, WithoutTheDatabaseANeighboursNewMessageIsUnavailableAndNotMissing) {
  const auto a = Open("store-a");
  const auto b = Open("store-b");
  const BlobRef seen = AppendNow(*a, "seen").value();
  ASSERT_EQ(b->Read(seen, 0, 0).value(), "seen");
  const BlobRef unseen = AppendNow(*a, std::string(5'000, 'n'), "aux").value();
  ASSERT_EQ(SegmentOf(seen.key), SegmentOf(unseen.key));
  registry_.away = true;
  EXPECT_EQ(b->Read(seen, 0, 0).value(), "seen");
  EXPECT_EQ(b->Read(unseen, 0, 0).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b->Read(unseen, 1, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b->ReadAux(unseen).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(b->OpenReader(unseen).status().code(), absl::StatusCode::kUnavailable);
  registry_.away = false;
  EXPECT_EQ(b->ReadAux(unseen).value(), "aux");
  EXPECT_TRUE(b->Damage().empty());
}

TEST_F(Shared, StoresAppendAndReadFromManyThreadsAndNoKeyComesTwice) {
  std::vector<std::unique_ptr<BlobStore>> stores;
  for (const char* name : {"a", "b", "c"}) stores.push_back(Open(name));
  std::mutex mutex;
  std::set<uint64_t> keys;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 60; ++i) {
        const auto ref = AppendNow(*stores[t % 3], BodyOf(t * 1'000 + i));
        if (!ref.ok()) ++wrong;
        if (!ref.ok()) continue;
        if (stores[(t + i) % 3]->Read(*ref, 0, 0).value_or("") != BodyOf(t * 1'000 + i)) ++wrong;
        const std::lock_guard lock(mutex);
        if (!keys.insert(ref->key).second) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  for (const auto& store : stores) {
    std::set<uint64_t> seen;
    const auto visit = [&](const BlobRecord& record) {
      EXPECT_TRUE(record.status.ok());
      return seen.insert(record.ref.key).second;
    };
    EXPECT_TRUE(store->ForEach(visit, nullptr).ok());
    EXPECT_EQ(seen, keys);
    EXPECT_TRUE(store->Damage().empty());
  }
}

TEST_F(Shared, ScrubberNeverTakesANeighboursUnfinishedCommitForDamage) {
  const auto a = Open("a");
  const auto b = Open("b");
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint64_t i = 0; i < 1'500; ++i) {
      if (i % 7 == 0) (void)UploadNow(*a, std::string(40'000, 'u'));
      (void)AppendNow(*a, BodyOf(i));
    }
    done = true;
  });
  uint64_t walked = 0;
  const auto visit = [&](const BlobRecord& record) {
    EXPECT_TRUE(record.status.ok());
    ++walked;
    return true;
  };
  while (!done) EXPECT_TRUE(b->ForEach(visit, nullptr).ok());
  writer.join();
  EXPECT_GT(walked, 0U);
  EXPECT_TRUE(b->Damage().empty());
}

TEST_F(Shared, StoreThatReturnsGoesOnInNewSegmentsAndItsOldOnesStayReadable) {
  auto a = Open("a");
  const BlobRef clean = AppendNow(*a, "before a clean end").value();
  a.reset();
  EXPECT_EQ(StateOf(SegmentOf(clean.key)), SegmentState::kSealed);
  a = Open("a");
  const BlobRef next = AppendNow(*a, "after it").value();
  EXPECT_NE(SegmentOf(next.key), SegmentOf(clean.key));
  const auto b = Open("b");
  EXPECT_EQ(b->Read(clean, 0, 0).value(), "before a clean end");
  EXPECT_EQ(b->Read(next, 0, 0).value(), "after it");
}

// As a machine that was given up leaves it: half a commit at the end, nothing sealed.
class DeadNeighbour : public Shared {
 protected:
  void SetUp() override {
    // A store on a copy of the folder, which is dropped without its end.
    auto a = Open("a");
    kept_ = AppendNow(*a, "kept").value();
    number_ = SegmentOf(kept_.key);
    std::filesystem::copy(folder_.blobs(), folder_.root + "/copy",
                          std::filesystem::copy_options::recursive);
    const SegmentRow row = registry_.Find(number_).value();
    a.reset();
    std::filesystem::remove_all(folder_.blobs());
    std::filesystem::rename(folder_.root + "/copy", folder_.blobs());
    SegmentRow now = registry_.Find(number_).value();
    const uint64_t version = now.version;
    now = row;
    now.version = version;
    ASSERT_TRUE(registry_.Update(now).ok());
    std::ofstream(Path(number_, 0), std::ios::app) << std::string(500, 'T');
  }
  BlobRef kept_;
  uint64_t number_ = 0;
};

TEST_F(DeadNeighbour, ItsTornTailIsIgnoredAndOneWhoCollectsSealsIt) {
  const auto b = Open("b");
  EXPECT_EQ(b->Read(kept_, 0, 0).value(), "kept");
  EXPECT_TRUE(b->ForEach([](const BlobRecord&) { return true; }, nullptr).ok());
  EXPECT_EQ(StateOf(number_), SegmentState::kOpen);
  ASSERT_TRUE(b->Destroy({}).ok());
  EXPECT_EQ(StateOf(number_), SegmentState::kSeized);
  EXPECT_EQ(b->Read(kept_, 0, 0).value(), "kept");
  ASSERT_TRUE(b->Destroy({}).ok());
  EXPECT_EQ(StateOf(number_), SegmentState::kSealed);
  EXPECT_EQ(b->Read(kept_, 0, 0).value(), "kept");
  EXPECT_TRUE(b->Damage().empty());
  EXPECT_EQ(b->Destroy({kept_.key}).value(), std::vector<uint64_t>{kept_.key});
  EXPECT_EQ(b->Read(kept_, 0, 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DeadNeighbour, ItComesBackUnderItsNameWhileSomebodyIsTakingOver) {
  const auto b = Open("b");
  ASSERT_TRUE(b->Destroy({}).ok());
  auto a = Open("a");
  const BlobRef next = AppendNow(*a, "alive again").value();
  ASSERT_TRUE(b->Destroy({}).ok());
  for (BlobStore* store : {a.get(), b.get()}) {
    EXPECT_EQ(store->Read(kept_, 0, 0).value(), "kept");
    EXPECT_EQ(store->Read(next, 0, 0).value(), "alive again");
  }
  a.reset();
  a = Open("a");
  EXPECT_EQ(a->Read(next, 0, 0).value(), "alive again");
}

TEST_F(Shared, OneThatWasThoughtDeadAnswersNobodyAboutASeizedSegmentAndRecovers) {
  const auto a = Open("a");
  const auto b = Open("b");
  const BlobRef before = AppendNow(*a, "before").value();
  ASSERT_TRUE(b->Destroy({}).ok());  // a's segment is old enough in this test
  EXPECT_EQ(AppendNow(*a, "late").status().code(), absl::StatusCode::kUnavailable);
  const BlobRef after = AppendNow(*a, "after").value();
  EXPECT_NE(SegmentOf(after.key), SegmentOf(before.key));
  for (int round = 0; round < 2; ++round) {
    for (BlobStore* store : {a.get(), b.get()}) {
      EXPECT_EQ(store->Read(before, 0, 0).value(), "before");
      EXPECT_EQ(store->Read(after, 0, 0).value(), "after");
      EXPECT_TRUE(store->Damage().empty());
    }
    ASSERT_TRUE(b->Destroy({}).ok());
  }
}

TEST_F(Shared, CompactionAtOneStoreDoesNotDisturbReadersAtAnother) {
  LocalBlobOptions eager = Options("a");
  eager.rewrite_share = 0.001;
  auto a = OpenStore(eager);
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 100; ++i) refs.push_back(AppendNow(*a, BodyOf(i)).value());
  a.reset();
  a = OpenStore(eager);
  const auto b = Open("b");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    while (!stop) {
      for (uint64_t i = 0; i < 100; i += 10) {
        if (b->Read(refs[i], 0, 0).value_or("") != BodyOf(i)) ++wrong;
      }
    }
  });
  std::vector<uint64_t> dead;
  for (uint64_t i = 1; i < 100; ++i) {
    if (i % 10 != 0) dead.push_back(refs[i].key);
    ASSERT_TRUE(a->Destroy(dead).ok());
  }
  ASSERT_TRUE(a->Destroy(dead).ok());
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  const auto c = Open("c");
  for (uint64_t i = 0; i < 100; ++i) {
    const auto read = c->Read(refs[i], 0, 0);
    EXPECT_EQ(read.ok(), i % 10 == 0) << i << read.status();
  }
  EXPECT_TRUE(c->Damage().empty());
}

TEST_F(Shared, OldFormsStayForReadersUntilTheirTimeIsOver) {
  LocalBlobOptions patient = Options("a");
  patient.shared.keep_ms = 3'600'000;
  auto a = OpenStore(patient);
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 3; ++i) refs.push_back(AppendNow(*a, std::string(9'000, 'x')).value());
  a.reset();
  a = OpenStore(patient);
  ASSERT_EQ(a->Destroy({refs[0].key, refs[1].key}).value().size(), 2U);
  ASSERT_TRUE(a->Destroy({}).ok());
  EXPECT_TRUE(std::filesystem::exists(Path(1, 0)));
  EXPECT_TRUE(std::filesystem::exists(Path(1, 1)));
  const auto b = Open("b");
  ASSERT_TRUE(b->Destroy({}).ok());
  EXPECT_FALSE(std::filesystem::exists(Path(1, 0)));
  EXPECT_EQ(b->Read(refs[2], 0, 0).value(), std::string(9'000, 'x'));
}

TEST_F(Shared, CollectorThatWasThoughtDeadCannotPutItsOldWorkInPlace) {
  auto a = Open("a");
  const BlobRef first = AppendNow(*a, std::string(9'000, '1')).value();
  const BlobRef second = AppendNow(*a, std::string(9'000, '2')).value();
  a.reset();
  const SharedTimes times = kAtOnce;
  SharedSegmentSet slow(file::Real(), folder_.blobs(), {}, registry_, "slow", times);
  ASSERT_TRUE(slow.Load().ok());
  const auto segment = slow.Find(SegmentOf(first.key)).value();
  const auto form = slow.NextForm(*segment).value();
  const auto b = Open("b");
  ASSERT_TRUE(b->Destroy({first.key}).ok());
  std::filesystem::copy(Path(1, 0), form.path, std::filesystem::copy_options::skip_existing);
  EXPECT_EQ(slow.Replace(segment, form).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(b->Read(second, 0, 0).value(), std::string(9'000, '2'));
  EXPECT_EQ(Open("c")->Read(second, 0, 0).value(), std::string(9'000, '2'));
}

TEST_F(Shared, FolderOfOneStoreIsTakenOverWithAllItsKeys) {
  auto alone = OpenStore({.directory = folder_.blobs(), .roll_bytes = 20'000});
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 40; ++i) refs.push_back(AppendNow(*alone, BodyOf(i)).value());
  alone.reset();
  const auto a = Open("a");
  const auto b = Open("b");
  const BlobRef more = AppendNow(*a, "more").value();
  for (uint64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(b->Read(refs[i], 0, 0).value(), BodyOf(i));
    EXPECT_LT(SegmentOf(refs[i].key), SegmentOf(more.key));
  }
  EXPECT_EQ(OpenLocalBlobStore({.directory = folder_.blobs()}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(b->Damage().empty());
}

TEST_F(Shared, FolderThatIsNotTheOnesOfTheOthersIsRefused) {
  const auto a = Open("a");
  LocalBlobOptions other = Options("b");
  other.directory = folder_.root + "/not-mounted";
  EXPECT_EQ(OpenLocalBlobStore(other).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_empty(other.directory));
}

TEST_F(Shared, TwoOfOneNameOnOneMachineAreRefused) {
  const auto a = Open("a");
  EXPECT_EQ(OpenLocalBlobStore(Options("a")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(OpenLocalBlobStore(Options("../a")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(Shared, NumbersDoNotComeAgainAlsoWhenAnOlderRegistryWasRestored) {
  auto a = Open("a");
  const BlobRef first = AppendNow(*a, "first").value();
  a.reset();
  MemorySegmentRegistry restored;  // knows nothing of the segment
  LocalBlobOptions options = Options("a");
  options.registry = &restored;
  options.on_damage = [](const BlobDamage&) {};
  a = OpenStore(options);
  const BlobRef second = AppendNow(*a, "second").value();
  EXPECT_NE(SegmentOf(first.key), SegmentOf(second.key));
  ASSERT_TRUE(a->Destroy({}).ok());
  EXPECT_TRUE(std::filesystem::exists(Path(SegmentOf(first.key), 0)));
  a.reset();
  EXPECT_EQ(Open("a")->Read(first, 0, 0).value(), "first");
}

TEST_F(Shared, MissingFileIsDamageAndTheOthersAreRead) {
  auto a = Open("a");
  const BlobRef lost = AppendNow(*a, "lost").value();
  a.reset();
  a = Open("a");
  const BlobRef kept = AppendNow(*a, "kept").value();
  std::filesystem::remove(Path(SegmentOf(lost.key), 0));
  LocalBlobOptions options = Options("b");
  options.on_damage = [](const BlobDamage&) {};
  const auto b = OpenStore(options);
  EXPECT_EQ(b->Read(lost, 0, 0).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(b->Read(kept, 0, 0).value(), "kept");
  std::vector<uint64_t> keys;
  EXPECT_TRUE(b->ForEach(
                   [&](const BlobRecord& record) {
                     keys.push_back(record.ref.key);
                     return true;
                   },
                   nullptr)
                  .ok());
  EXPECT_EQ(keys, std::vector<uint64_t>{kept.key});
  EXPECT_FALSE(b->Damage().empty());
}

}  // namespace
}  // namespace posthorn::store_service
