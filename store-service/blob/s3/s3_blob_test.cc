// The object store against a server that checks every signature and fails on demand.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "lib/base/clock.h"
#include "store-service/blob/s3/s3_fixture.h"

namespace posthorn::store_service {
namespace {

TEST_F(S3, TwoStoresReadEachOthersMessagesAtOnce) {
  const auto a = Open("a");
  const auto b = Open("b");
  std::set<uint64_t> keys;
  for (uint64_t i = 0; i < 20; ++i) {
    const BlobRef from_a = AppendNow(*a, BodyOf(i), "aux").value();
    const BlobRef from_b = UploadNow(*b, BodyOf(i + 100)).value();
    EXPECT_EQ(b->Read(from_a, 0, 0).value(), BodyOf(i));
    EXPECT_EQ(a->Read(from_b, 0, 0).value(), BodyOf(i + 100));
    EXPECT_EQ(b->ReadAux(from_a).value(), "aux");
    keys.insert({from_a.key, from_b.key});
  }
  EXPECT_EQ(keys.size(), 40U);
  EXPECT_EQ(Objects("s/"), 2U);
}

TEST_F(S3, WhatArrivesTogetherIsOneObject) {
  const auto a = Open("a");
  server_.Fault("slow", 2, "PUT", 0.2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&] { EXPECT_TRUE(AppendNow(*a, std::string(4'096, 'x')).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(Objects("o/"), 5U);
  EXPECT_EQ(a->Stats().appends, 20U);
}

TEST_F(S3, FaultsThatPassAreNotNoticed) {
  const auto a = Open("a");
  const BlobRef first = AppendNow(*a, "first").value();
  for (const char* kind : {"error", "busy", "reset", "applied"}) {
    server_.Fault(kind, 2, "PUT");
    const BlobRef ref = AppendNow(*a, kind).value();
    EXPECT_EQ(a->Read(ref, 0, 0).value(), kind);
    server_.Fault(kind, 2, "PUT");
    const BlobRef large = UploadNow(*a, std::string(700'000, 'u')).value();
    EXPECT_EQ(a->Read(large, 0, 0).value().size(), 700'000U);
  }
  for (const char* kind : {"error", "busy", "reset", "cut", "rot"}) {
    server_.Fault(kind, 1, "GET");
    EXPECT_EQ(a->Read(first, 0, 0).value(), "first") << kind;
  }
  server_.Fault("slow", 1, "GET", 1.5);  // longer than a try may take
  EXPECT_EQ(a->Read(first, 0, 0).value(), "first");
  EXPECT_TRUE(a->Damage().empty());
}

TEST_F(S3, AWayThatIsNotFoundIsNoMessageThatIsGone) {
  const auto store = OpenWith(Impatient("one"));
  const BlobRef ref = AppendNow(*store, "first").value();
  server_.Fault("nowhere", 1'000'000, "GET");
  EXPECT_EQ(store->Read(ref, 0, 0).status().code(), absl::StatusCode::kUnavailable);
  server_.Clear();
  EXPECT_EQ(store->Read(ref, 0, 0).value(), "first");
}

TEST_F(S3, FaultsThatStayFailInTimeAndNothingIsKept) {
  const auto a = OpenWith(Impatient("a"));
  const BlobRef first = AppendNow(*a, "first").value();
  server_.Fault("error", 1'000'000, "ANY");
  const int64_t began = base::MonotonicMicros();
  EXPECT_EQ(AppendNow(*a, "second").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(a->Read(first, 0, 0).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(UploadNow(*a, "large").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(base::MonotonicMicros() - began, 10'000'000);
  server_.Clear();
  EXPECT_EQ(a->Read(first, 0, 0).value(), "first");
  EXPECT_TRUE(AppendNow(*a, "third").ok());
}

TEST_F(S3, RefusalsAreNotTriedAgainAndAFullServiceSaysSo) {
  const auto a = Open("a");
  const BlobRef first = AppendNow(*a, "first").value();
  const int64_t began = base::MonotonicMicros();
  server_.Fault("denied", 1, "PUT");
  EXPECT_EQ(AppendNow(*a, "x").status().code(), absl::StatusCode::kUnavailable);
  server_.Fault("denied", 1, "GET");
  EXPECT_EQ(a->Read(first, 0, 0).status().code(), absl::StatusCode::kUnavailable);
  server_.Fault("full", 1, "PUT");
  EXPECT_EQ(AppendNow(*a, "x").status().code(), absl::StatusCode::kResourceExhausted);
  server_.Fault("quota", 1, "PUT");
  EXPECT_EQ(UploadNow(*a, "x").status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LT(base::MonotonicMicros() - began, 3'000'000);
}

TEST_F(S3, WrongKeysAndWrongBucketsAreRefusedAtTheStart) {
  S3BlobOptions options = Options("a");
  options.target.secret_key += "x";
  EXPECT_EQ(OpenS3BlobStore(options).status().code(), absl::StatusCode::kUnavailable);
  options = Options("a");
  options.target.bucket = "another";
  EXPECT_EQ(OpenS3BlobStore(options).status().code(), absl::StatusCode::kUnavailable);
  const auto a = Open("a");
  options = Options("b");
  options.target.prefix = "store/two/";
  EXPECT_EQ(OpenS3BlobStore(options).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(S3, ServerKilledInTheMiddleLosesNothingThatWasAnswered) {
  const auto a = Open("a");
  std::mutex mutex;
  std::vector<std::pair<BlobRef, uint64_t>> answered;
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = t * 10'000; !stop; ++i) {
        const auto ref = AppendNow(*a, BodyOf(i));
        const std::lock_guard lock(mutex);
        if (ref.ok()) answered.emplace_back(*ref, i);
      }
    });
  }
  const auto count = [&] {
    const std::lock_guard lock(mutex);
    return answered.size();
  };
  for (int round = 0; round < 3; ++round) {
    const size_t before = count();
    while (count() < before + 20) std::this_thread::yield();
    server_.Restart();
  }
  const size_t before = count();
  while (count() < before + 20) std::this_thread::yield();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& [ref, number] : answered) {
    EXPECT_EQ(a->Read(ref, 0, 0).value(), BodyOf(number));
  }
}

TEST_F(S3, NumbersWhoseObjectsExistAreLeftAlone) {
  auto a = Open("a");
  const BlobRef first = AppendNow(*a, "first").value();
  a.reset();
  const std::string identity = registry_.Identity("").value();
  MemorySegmentRegistry restored;  // knows nothing of the segment
  ASSERT_TRUE(restored.Identity(identity).ok());
  S3BlobOptions options = Options("a");
  options.registry = &restored;
  a = OpenWith(options);
  const BlobRef second = AppendNow(*a, "second").value();
  EXPECT_NE(first.key, second.key);
  EXPECT_EQ(a->Read(first, 0, 0).value(), "first");
  EXPECT_EQ(a->Read(second, 0, 0).value(), "second");
}

TEST_F(S3, SmallObjectsAreMergedAndReadersElsewhereFindThem) {
  const auto a = Open("a");
  const auto reader = Open("reader");
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 40; ++i) refs.push_back(AppendNow(*a, BodyOf(i), "aux").value());
  EXPECT_EQ(reader->Read(refs[0], 0, 0).value(), BodyOf(0));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread other([&] {
    for (uint64_t i = 0; !stop; i = (i + 7) % 40) {
      if (reader->Read(refs[i], 0, 0).value_or("") != BodyOf(i)) ++wrong;
    }
  });
  const auto collector = Open("collector");
  for (int round = 0; round < 4; ++round) ASSERT_TRUE(collector->Destroy({}).ok());
  stop = true;
  other.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Objects("o/"), 0U);
  EXPECT_EQ(Objects("p/"), 1U);
  for (uint64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(a->Read(refs[i], 0, 0).value(), BodyOf(i));
    EXPECT_EQ(a->ReadAux(refs[i]).value(), "aux");
  }
  // And again, with what came since.
  for (uint64_t i = 40; i < 60; ++i) refs.push_back(AppendNow(*a, BodyOf(i), "aux").value());
  for (int round = 0; round < 2; ++round) ASSERT_TRUE(collector->Destroy({}).ok());
  EXPECT_EQ(Objects("p/"), 1U);
  for (uint64_t i = 0; i < 60; ++i) EXPECT_EQ(reader->Read(refs[i], 0, 0).value(), BodyOf(i));
}

// A collector that dies after any of its requests: whoever goes on finds everything.
TEST_F(S3, CollectorThatDiesAtAnyStepLosesNothing) {
  const auto a = Open("a");
  std::vector<BlobRef> refs;
  std::vector<uint64_t> dead;
  for (uint64_t i = 0; i < 24; ++i) refs.push_back(AppendNow(*a, BodyOf(i)).value());
  for (uint64_t i = 0; i < 24; i += 2) dead.push_back(refs[i].key);
  for (int step = 0; step < 60; ++step) {
    S3BlobOptions options = Options("collector");
    options.timing.give_up_ms = 0;
    const auto collector = OpenWith(options);
    // Let `step` changes pass, then refuse all: as if it had died there.
    server_.Fault(step % 2 == 0 ? "denied" : "applied", 1, step % 3 == 0 ? "PUT" : "DELETE");
    (void)collector->Destroy(dead);
    server_.Clear();
    const auto reader = Open("reader");
    for (uint64_t i = 1; i < 24; i += 2) {
      ASSERT_EQ(reader->Read(refs[i], 0, 0).value(), BodyOf(i)) << step;
    }
    if (step % 10 == 9) {
      for (uint64_t i = 0; i < 12; ++i) {
        EXPECT_TRUE(AppendNow(*a, BodyOf(i + 1'000)).ok());
      }
    }
  }
  S3BlobOptions options = Options("collector");
  options.merge.dead_share = 0.000'001;
  const auto collector = OpenWith(options);
  std::vector<uint64_t> left = dead;
  for (int round = 0; round < 4; ++round) {
    const std::vector<uint64_t> gone = collector->Destroy(left).value();
    for (const uint64_t key : gone) std::erase(left, key);
  }
  EXPECT_TRUE(left.empty()) << left.size() << " of " << dead.size() << ": " << Names();
}

TEST_F(S3, MergedObjectsAreKeptBesideTheirSourcesWhileReadersMayNeedThem) {
  S3BlobOptions options = Options("a");
  options.merge.keep_ms = 3'600'000;
  const auto a = OpenWith(options);
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 20; ++i) refs.push_back(AppendNow(*a, BodyOf(i)).value());
  for (int round = 0; round < 3; ++round) ASSERT_TRUE(a->Destroy({}).ok());
  EXPECT_EQ(Objects("o/"), 20U);
  EXPECT_EQ(Objects("p/"), 1U);
  std::set<uint64_t> seen;
  const auto visit = [&](const BlobRecord& record) { return seen.insert(record.ref.key).second; };
  EXPECT_TRUE(a->ForEach(visit, nullptr).ok());
  EXPECT_EQ(seen.size(), 20U);
  // What dies meanwhile is not gone before its last copy is.
  EXPECT_TRUE(a->Destroy({refs[0].key}).value().empty());
  EXPECT_EQ(a->Read(refs[0], 0, 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(S3, DamagedObjectsAreReportedAndNeverReadWrong) {
  const auto a = Open("a");
  const BlobRef bad = AppendNow(*a, std::string(5'000, 'b')).value();
  const BlobRef good = AppendNow(*a, "good").value();
  const BlobRef lost = AppendNow(*a, "lost").value();
  Flip(FileOf(NameOf({.segment = SegmentOf(bad.key), .first = IndexOf(bad.key)})),
       PlaceOf(bad.key) + 3'000);
  std::filesystem::remove(
      FileOf(NameOf({.segment = SegmentOf(lost.key), .first = IndexOf(lost.key)})));
  EXPECT_EQ(a->Read(bad, 0, 0).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(a->Read(lost, 0, 0).status().code(), absl::StatusCode::kNotFound);
  const auto b = Open("b");
  int damaged = 0;
  const auto visit = [&](const BlobRecord& record) {
    damaged += record.status.ok() ? 0 : 1;
    return true;
  };
  EXPECT_TRUE(b->ForEach(visit, nullptr).ok());
  EXPECT_EQ(damaged, 1);
  ASSERT_EQ(b->Damage().size(), 1U);
  EXPECT_EQ(b->Damage()[0].offset, OffsetOf(bad.key));
  EXPECT_EQ(b->Read(good, 0, 0).value(), "good");
}

TEST_F(S3, CacheAnswersWhatWasWrittenLatelyAndStaysWithinItsBudget) {
  S3BlobOptions options = Options("a");
  options.cache_bytes = 100'000;
  const auto a = OpenWith(options);
  std::vector<BlobRef> refs;
  for (int i = 0; i < 50; ++i) refs.push_back(AppendNow(*a, std::string(4'000, 'x')).value());
  server_.Fault("denied", 1'000'000, "GET");
  EXPECT_EQ(a->Read(refs.back(), 0, 0).value(), std::string(4'000, 'x'));
  EXPECT_EQ(a->Read(refs.front(), 0, 0).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(S3, DiskCacheAnswersAfterARestartAndWhenItIsDamagedTheServerDoes) {
  S3BlobOptions options = Options("a");
  options.disk_cache = folder_.root + "/cache";
  auto a = OpenWith(options);
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 10; ++i) refs.push_back(AppendNow(*a, BodyOf(i), "aux").value());
  for (uint64_t i = 0; i < 9; ++i) EXPECT_EQ(a->Read(refs[i], 0, 0).value(), BodyOf(i));
  a = OpenWith(options);
  server_.Fault("denied", 1'000'000, "GET");
  for (uint64_t i = 0; i < 9; ++i) {
    EXPECT_EQ(a->Read(refs[i], 0, 0).value(), BodyOf(i));
    EXPECT_EQ(a->ReadAux(refs[i]).value(), "aux");
  }
  EXPECT_EQ(a->Read(refs[9], 0, 0).status().code(), absl::StatusCode::kUnavailable);
  server_.Clear();
  for (const auto& entry : std::filesystem::directory_iterator(options.disk_cache)) {
    if (entry.file_size() > 0) Flip(entry.path(), 50);
  }
  for (uint64_t i = 0; i < 10; ++i) EXPECT_EQ(a->Read(refs[i], 0, 0).value(), BodyOf(i));
  EXPECT_TRUE(a->Damage().empty());
  ASSERT_TRUE(a->Destroy({refs[0].key}).ok());
  EXPECT_EQ(a->Read(refs[0], 0, 0).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace posthorn::store_service
