// What is lost, repeated or moved below a store in a bucket: right bytes or an error that is named.

#include <sys/mman.h>

#include <atomic>
#include <thread>

#include "lib/file/file_system.h"
#include "store-service/blob/s3/s3_fixture.h"

namespace posthorn::store_service {
namespace {

using S3Loss = S3;

TEST_F(S3Loss, SegmentWhoseOwnObjectIsLostIsReadReportedAndMended) {
  const auto a = Open("a");
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 12; ++i) refs.push_back(AppendNow(*a, BodyOf(i), "aux").value());
  refs.push_back(UploadNow(*a, std::string(1'500'000, 'u')).value());
  const std::string file = FileOf(SegmentObject(SegmentOf(refs[0].key)));
  const std::string before = file::ReadWhole(file::Real(), file).value();
  for (const std::string& damage : {std::string(), std::string("not a head")}) {
    std::filesystem::remove(file);
    if (!damage.empty()) std::ofstream(file) << damage;
    const auto b = Open("b");
    EXPECT_EQ(b->Read(refs[3], 0, 0).value(), BodyOf(3));
    EXPECT_EQ(b->Read(refs[12], 1'000'000, 10).value(), "uuuuuuuuuu");
    EXPECT_EQ(b->ReadAux(refs[4]).value(), "aux");
    ASSERT_EQ(b->Damage().size(), 1U);
    EXPECT_EQ(b->Damage()[0].segment, SegmentOf(refs[0].key));
    EXPECT_NE(b->Damage()[0].what.find("s/00000001 is lost"), std::string::npos);
  }
  std::filesystem::remove(file);
  EXPECT_EQ(Walked(*Open("c")).size(), refs.size());
  EXPECT_EQ(file::ReadWhole(file::Real(), file).value(), before);
}

TEST_F(S3Loss, MergedSegmentWhoseOwnObjectIsLostIsReadToo) {
  const auto a = Open("a");
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 20; ++i) refs.push_back(AppendNow(*a, BodyOf(i)).value());
  for (int round = 0; round < 3; ++round) ASSERT_TRUE(a->Destroy({}).ok());
  ASSERT_EQ(Objects("o/"), 0U);
  std::filesystem::remove(FileOf(SegmentObject(SegmentOf(refs[0].key))));
  const auto b = Open("b");
  EXPECT_EQ(b->Read(refs[7], 0, 0).value(), BodyOf(7));
  EXPECT_EQ(Walked(*b).size(), 20U);
  EXPECT_EQ(Objects("s/"), 1U) << "mended";
}

TEST_F(S3Loss, LostRowsOfTheRegistryCostNothing) {
  const auto a = Open("a");
  const BlobRef ref = AppendNow(*a, "kept").value();
  ASSERT_TRUE(registry_.Remove(registry_.Find(SegmentOf(ref.key)).value()).ok());
  EXPECT_EQ(a->Read(ref, 0, 0).value(), "kept");
  EXPECT_EQ(Open("b")->Read(ref, 0, 0).value(), "kept");
  EXPECT_EQ(Walked(*a), std::set<uint64_t>{ref.key});
}

// The registry is of yesterday, and the object that would have told is lost too.
TEST_F(S3Loss, NumberWhoseObjectsAreThereIsNotUsedAgain) {
  auto a = Open("a");
  const BlobRef old = AppendNow(*a, "old bytes").value();
  a.reset();
  std::filesystem::remove(FileOf(SegmentObject(SegmentOf(old.key))));
  MemorySegmentRegistry restored;
  ASSERT_TRUE(restored.Identity(registry_.Identity("").value()).ok());
  S3BlobOptions options = Options("a");
  options.registry = &restored;
  a = OpenWith(options);
  const BlobRef fresh = AppendNow(*a, "new bytes").value();
  EXPECT_NE(SegmentOf(fresh.key), SegmentOf(old.key));
  EXPECT_EQ(a->Read(old, 0, 0).value(), "old bytes");
  EXPECT_EQ(a->Read(fresh, 0, 0).value(), "new bytes");
}

// The server refuses a second content under a name, so a repeated PUT had the same bytes.
TEST_F(S3Loss, RepeatedPutsMakeOneObject) {
  const auto a = Open("a");
  ASSERT_TRUE(AppendNow(*a, "first").ok());
  server_.Fault("applied", 3, "PUT");
  const BlobRef small = AppendNow(*a, "small").value();
  server_.Fault("applied", 3, "PUT");
  const BlobRef large = UploadNow(*a, std::string(900'000, 'u')).value();
  EXPECT_EQ(Objects("o/"), 3U);
  EXPECT_EQ(Walked(*a).size(), 3U);
  EXPECT_EQ(a->Read(small, 0, 0).value(), "small");
  EXPECT_EQ(a->Read(large, 0, 0).value().size(), 900'000U);
}

TEST_F(S3Loss, ObjectWhoseAnswerNeverCameIsFoundAsRubbishAndFreed) {
  const auto a = OpenWith(Impatient("a"));
  const BlobRef first = AppendNow(*a, "first").value();
  server_.Fault("applied", 1'000'000, "PUT");
  EXPECT_EQ(AppendNow(*a, "unknown").status().code(), absl::StatusCode::kUnavailable);
  server_.Clear();
  const BlobRef again = AppendNow(*a, "unknown").value();  // the sender came again
  std::set<uint64_t> keys = Walked(*a);
  EXPECT_EQ(keys.size(), 3U);
  EXPECT_TRUE(keys.contains(again.key));
  keys.erase(first.key);
  keys.erase(again.key);  // no row refers to the third: the collector names it
  EXPECT_EQ(a->Destroy({*keys.begin()}).value().size(), 1U);
  EXPECT_EQ(Walked(*a), (std::set<uint64_t>{first.key, again.key}));
  EXPECT_EQ(a->Read(again, 0, 0).value(), "unknown");
}

TEST_F(S3Loss, ReaderInTheMiddleOfAMessageFindsItWhereItWasMergedTo) {
  S3BlobOptions options = Options("a");
  options.merge.small_bytes = uint64_t{64} << 20;
  options.merge.pack_bytes = uint64_t{64} << 20;
  options.merge.least_units = 2;
  const auto a = OpenWith(options);
  std::string body(9'000'000, 'x');
  for (size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  const BlobRef large = UploadNow(*a, body).value();
  ASSERT_TRUE(AppendNow(*a, "neighbour").ok());
  const auto b = Open("b");
  const auto reader = b->OpenReader(large).value();
  std::string read = reader->Next(100'000).value();
  for (int round = 0; round < 3; ++round) ASSERT_TRUE(a->Destroy({}).ok());
  ASSERT_EQ(Objects("o/"), 0U);
  for (std::string part = "-"; !part.empty(); read += part) part = reader->Next(1 << 20).value();
  EXPECT_TRUE(read == body);
}

TEST_F(S3Loss, MostlyDeadObjectsAreMergedUnderReadersOfTheirLivingRanges) {
  S3BlobOptions options = Options("a");
  options.merge.small_bytes = 1;  // only those of which something is dead
  options.merge.dead_share = 0.000'001;
  const auto a = OpenWith(options);
  server_.Fault("slow", 1, "PUT", 0.3);
  std::vector<BlobRef> refs(40);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 40; ++t)
    threads.emplace_back([&, t] { refs[t] = AppendNow(*a, BodyOf(t)).value(); });
  for (std::thread& thread : threads) thread.join();
  const auto b = Open("b");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread reading([&] {
    for (uint64_t i = 0; !stop; i = (i + 8) % 40) {
      const auto part = b->Read(refs[i], 1, BodyOf(i).size() - 1);
      if (part.value_or("") != BodyOf(i).substr(1)) ++wrong;
    }
  });
  std::vector<uint64_t> dead;
  for (size_t i = 0; i < 40; ++i) {
    if (i % 8 != 0) dead.push_back(refs[i].key);
  }
  std::vector<uint64_t> left = dead;
  for (int round = 0; round < 4; ++round) {
    const std::vector<uint64_t> gone = a->Destroy(left).value();
    for (const uint64_t key : gone) std::erase(left, key);
  }
  stop = true;
  reading.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(left.empty()) << left.size() << " of " << dead.size() << ":" << Names();
  EXPECT_EQ(Walked(*b).size(), 5U);
}

TEST_F(S3Loss, TinyMessagesFillAnObjectAndRollOverToTheNext) {
  S3BlobOptions options = Options("a");
  options.commit_threads = 1;
  const auto a = OpenWith(options);
  ASSERT_TRUE(AppendNow(*a, "first").ok());
  constexpr size_t kMany = 300'000;  // with their headers more than one object may hold
  server_.Fault("slow", 1, "PUT", 0.5);
  std::atomic<size_t> good{0};
  std::atomic<size_t> answered{0};
  for (size_t i = 0; i < kMany; ++i) {
    a->Append("x", "", [&](const absl::StatusOr<BlobRef>& ref) {
      good += ref.ok() ? 1 : 0;
      ++answered;
    });
  }
  while (answered < kMany) std::this_thread::yield();
  EXPECT_EQ(good, kMany);
  EXPECT_GE(Objects("o/"), 4U);
}

TEST_F(S3Loss, MergingRollsOverAtItsBound) {
  S3BlobOptions options = Options("a");
  options.merge.pack_bytes = 40'000;
  options.merge.least_units = 2;
  const auto a = OpenWith(options);
  std::vector<BlobRef> refs;
  for (uint64_t i = 0; i < 60; ++i) refs.push_back(AppendNow(*a, BodyOf(i)).value());
  for (int round = 0; round < 4; ++round) ASSERT_TRUE(a->Destroy({}).ok());
  EXPECT_EQ(Objects("o/"), 0U);
  EXPECT_GT(Objects("p/"), 1U);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.root + "/objects")) {
    EXPECT_LE(entry.file_size(), 44'000U) << "with its map";
  }
  for (uint64_t i = 0; i < 60; ++i) EXPECT_EQ(a->Read(refs[i], 0, 0).value(), BodyOf(i));
}

TEST_F(S3Loss, WhatIsAboveTheBoundIsRefusedAndNothingIsPut) {
  S3BlobOptions options = Options("a");
  options.uploads.message_bytes = 100'000;
  const auto a = OpenWith(options);
  EXPECT_TRUE(UploadNow(*a, std::string(100'000, 'x')).ok());
  EXPECT_EQ(UploadNow(*a, std::string(100'001, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Objects("o/"), 1U);
  // Never touched: only its length counts.
  constexpr size_t kLarge = kMostPut + 1;
  void* const memory =
      ::mmap(nullptr, kLarge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  S3Client client(server_.target(), {});
  EXPECT_EQ(client.Put("o/x", {static_cast<const char*>(memory), kLarge}).code(),
            absl::StatusCode::kResourceExhausted);
  ::munmap(memory, kLarge);
}

}  // namespace
}  // namespace posthorn::store_service
