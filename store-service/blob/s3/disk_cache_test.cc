#include "store-service/blob/s3/disk_cache.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/strings.h"
#include "lib/file/faults.h"
#include "store-service/blob/blob_fixture.h"

namespace posthorn::store_service {
namespace {

class DiskCacheTest : public testing::Test {
 protected:
  std::unique_ptr<DiskCache> Open(uint64_t bytes = 1 << 20, const std::string& word = "one") {
    auto cache = DiskCache::Open({.folder = path_, .word = word, .bytes = bytes});
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  std::string FileOf(uint64_t key) const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      if (entry.path().filename().string().starts_with(base::StrCat(key, "-"))) return entry.path();
    }
    return "";
  }
  uint64_t BytesOfFiles() const {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) bytes += entry.file_size();
    return bytes;
  }
  static void PutBody(DiskCache& cache, uint64_t number) {
    cache.Put({number, BodyOf(number).size()}, BodyOf(number), base::StrCat("aux ", number));
  }
  static bool Has(DiskCache& cache, uint64_t number) {
    const auto record = cache.Find({number, BodyOf(number).size()});
    if (!record) return false;
    EXPECT_EQ(record->body, BodyOf(number));
    EXPECT_EQ(record->aux, base::StrCat("aux ", number));
    return true;
  }
  Folder folder_;
  const std::string path_ = folder_.root + "/cache";
};

TEST_F(DiskCacheTest, KeepsWhatWasPutAlsoOverAStart) {
  auto cache = Open();
  EXPECT_FALSE(Has(*cache, 7));
  for (uint64_t i = 1; i <= 20; ++i) PutBody(*cache, i);
  cache->Put({100, 0}, "", "");
  const uint64_t bytes = cache->bytes();
  cache = Open();
  for (uint64_t i = 1; i <= 20; ++i) EXPECT_TRUE(Has(*cache, i)) << i;
  EXPECT_EQ(cache->Find({100, 0})->body, "");
  EXPECT_EQ(cache->bytes(), bytes);
  EXPECT_FALSE(cache->Find({7, 3}).has_value()) << "another size is another message";
}

TEST_F(DiskCacheTest, StaysWithinItsBudgetAndKeepsWhatWasUsed) {
  constexpr uint64_t kBudget = 200'000;
  auto cache = Open(kBudget);
  for (uint64_t i = 1; i <= 100; ++i) {
    PutBody(*cache, i);
    EXPECT_TRUE(Has(*cache, 1)) << i;
    EXPECT_LE(BytesOfFiles(), kBudget);
  }
  EXPECT_FALSE(Has(*cache, 2));
  EXPECT_TRUE(Has(*cache, 100));
  cache->Put({200, kBudget / 2}, std::string(kBudget / 2, 'x'), "");
  EXPECT_TRUE(FileOf(200).empty()) << "one must not put out all others";
  cache = Open(kBudget / 4);
  EXPECT_LE(BytesOfFiles(), kBudget / 4);
  EXPECT_TRUE(Has(*cache, 100));
}

TEST_F(DiskCacheTest, DamagedFilesAreRemovedAndNeverReadWrong) {
  auto cache = Open();
  for (uint64_t i = 1; i <= 60; ++i) PutBody(*cache, i);
  for (uint64_t i = 1; i <= 60; ++i) {
    const std::string file = FileOf(i);
    const uint64_t size = std::filesystem::file_size(file);
    if (i % 3 == 0) Flip(file, i * 7 % size);
    if (i % 3 == 1) std::filesystem::resize_file(file, i * 7 % size);
    if (i % 3 == 2) std::filesystem::resize_file(file, size + i);
    EXPECT_FALSE(Has(*cache, i)) << i;
    EXPECT_EQ(FileOf(i), "");
    PutBody(*cache, i);
    EXPECT_TRUE(Has(*cache, i)) << "and comes again";
  }
}

TEST_F(DiskCacheTest, OneMessageIsNeverTakenForAnother) {
  auto cache = Open();
  const std::string a(100, 'a'), b(100, 'b');
  cache->Put({1, 100}, a, "");
  cache->Put({2, 100}, b, "");
  std::filesystem::copy_file(FileOf(1), FileOf(2),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(cache->Find({2, 100}).has_value());
}

TEST_F(DiskCacheTest, WhatAKilledRunLeftUnfinishedAndStrangersGo) {
  auto cache = Open();
  PutBody(*cache, 5);
  cache.reset();
  std::ofstream(path_ + "/9.new") << "half";
  std::ofstream(path_ + "/lost+found") << "?";
  std::ofstream(path_ + "/8-100") << "";  // its name came, its bytes did not: power was lost
  cache = Open();
  EXPECT_TRUE(Has(*cache, 5));
  EXPECT_FALSE(cache->Find({8, 60}).has_value());
  EXPECT_EQ(FilesIn(path_), 2U);
}

TEST_F(DiskCacheTest, AnotherBucketsBytesAreWiped) {
  auto cache = Open(1 << 20, "one");
  PutBody(*cache, 5);
  cache = Open(1 << 20, "two");
  EXPECT_FALSE(Has(*cache, 5));
  cache = Open(1 << 20, "one");
  EXPECT_FALSE(Has(*cache, 5));
  EXPECT_EQ(FilesIn(path_), 1U);
}

TEST_F(DiskCacheTest, ErasedOnesAreGone) {
  auto cache = Open();
  PutBody(*cache, 5);
  cache->Erase(5);
  cache->Erase(6);
  EXPECT_FALSE(Has(*cache, 5));
  EXPECT_EQ(cache->bytes(), 0U);
  EXPECT_EQ(FileOf(5), "");
}

TEST_F(DiskCacheTest, DiskThatRefusesCostsNothingButTheCache) {
  file::Faults faults(file::Real());
  auto cache =
      DiskCache::Open({.folder = path_, .word = "one", .bytes = 1 << 20, .system = &faults});
  ASSERT_TRUE(cache.ok());
  for (uint64_t i = 1; i <= 20; ++i) PutBody(**cache, i);
  faults.DiskFull(0);
  PutBody(**cache, 30);
  faults.Clear();
  EXPECT_FALSE(Has(**cache, 30));
  EXPECT_FALSE(Has(**cache, 1)) << "half of it was given back";
  EXPECT_TRUE(Has(**cache, 20));
  PutBody(**cache, 31);
  EXPECT_TRUE(Has(**cache, 31));
}

TEST_F(DiskCacheTest, ManyThreadsPutAndFind) {
  auto cache = Open(100'000);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 400; ++i) {
        const uint64_t number = 1 + (i * (t + 3)) % 60;
        if (!Has(*cache, number)) PutBody(*cache, number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(BytesOfFiles(), 100'000U);
}

}  // namespace
}  // namespace posthorn::store_service
