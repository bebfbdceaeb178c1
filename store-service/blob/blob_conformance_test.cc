// What every form of BlobStore keeps to: in a folder of one store, of several, in an object store.
// With POSTHORN_S3="ENDPOINT REGION BUCKET ACCESS SECRET" in the environment, in that one too
// (tests/s3/companions.py).

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/s3/s3_blob_store.h"
#include "store-service/blob/s3/strict_server.h"
#include "store-service/blob/segment_registry.h"

namespace posthorn::store_service {
namespace {

// Where stores are opened: the same place each time.
class Place {
 public:
  virtual ~Place() = default;
  virtual absl::StatusOr<std::unique_ptr<BlobStore>> Open() = 0;
};

class LocalPlace final : public Place {
 public:
  absl::StatusOr<std::unique_ptr<BlobStore>> Open() override {
    return OpenLocalBlobStore({.directory = folder_.blobs(), .roll_bytes = 30'000});
  }

 private:
  Folder folder_;
};

class SharedPlace final : public Place {
 public:
  absl::StatusOr<std::unique_ptr<BlobStore>> Open() override {
    return OpenLocalBlobStore(
        {.directory = folder_.blobs(),
         .roll_bytes = 30'000,
         .registry = &registry_,
         .writer = base::StrCat("store-", ++opened_),
         .shared = {.abandoned_ms = 1'000'000, .settle_ms = 0, .keep_ms = 0}});
  }

 private:
  Folder folder_;
  MemorySegmentRegistry registry_;
  int opened_ = 0;
};

class S3Place : public Place {
 public:
  absl::StatusOr<std::unique_ptr<BlobStore>> Open() override {
    return OpenS3BlobStore({.target = Target(),
                            .merge = {.settle_ms = 0, .keep_ms = 0},
                            .registry = &registry_,
                            .writer = "store",
                            .spool = folder_.root + "/spool",
                            .cache_bytes = 10'000});
  }

 protected:
  virtual S3Target Target() = 0;
  Folder folder_;
  MemorySegmentRegistry registry_;
};

class StrictPlace final : public S3Place {
 protected:
  S3Target Target() override { return server_.target(); }

 private:
  StrictServer server_{folder_.root};
};

class GivenPlace final : public S3Place {
 protected:
  S3Target Target() override {
    const std::string words = std::getenv("POSTHORN_S3");
    const std::vector<std::string_view> given = base::Split(words, ' ');
    return ParseS3Target(base::StrCat("s3://", given[2], "/", prefix_), given[0], given[1],
                         base::StrCat(given[3], "\n", given[4], "\n"))
        .value();
  }

 private:
  const std::string prefix_ = base::StrCat("test-", std::random_device()());
};

class Conformance : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string form = GetParam();
    if (form == "Local") place_ = std::make_unique<LocalPlace>();
    if (form == "Shared") place_ = std::make_unique<SharedPlace>();
    if (form == "S3") place_ = std::make_unique<StrictPlace>();
    if (form == "Given") place_ = std::make_unique<GivenPlace>();
  }
  std::unique_ptr<BlobStore> Open() {
    auto store = place_->Open();
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  std::unique_ptr<Place> place_;
};

TEST_P(Conformance, MessagesAreReadBackAlsoAfterARestart) {
  auto store = Open();
  const BlobRef ref = AppendNow(*store, "Subject: hello\r\n\r\nbody", "digest").value();
  const BlobRef empty = AppendNow(*store, "", "").value();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(store->Read(ref, 0, 0).value(), "Subject: hello\r\n\r\nbody");
    EXPECT_EQ(store->Read(ref, 9, 5).value(), "hello");
    EXPECT_EQ(store->ReadAux(ref).value(), "digest");
    EXPECT_EQ(store->Read(empty, 0, 0).value(), "");
    EXPECT_EQ(store->Read(ref, 20, 5).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(store->Damage().empty());
    store.reset();
    store = Open();
    const BlobRef later = AppendNow(*store, "another").value();
    EXPECT_NE(later, ref);
    EXPECT_EQ(store->Read(later, 0, 0).value(), "another");
  }
}

TEST_P(Conformance, ManyThreadsAppendAtOnceAndAllIsReadable) {
  const auto store = Open();
  std::vector<std::vector<std::pair<BlobRef, std::string>>> told(16);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < told.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 20; ++i) {
        std::string body(137 * i + t, static_cast<char>('a' + t));
        const auto ref = AppendNow(*store, body, base::StrCat("aux ", t));
        if (ref.ok()) told[t].emplace_back(*ref, std::move(body));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& list : told) {
    ASSERT_EQ(list.size(), 20U);
    for (const auto& [ref, body] : list) EXPECT_EQ(store->Read(ref, 0, 0).value(), body);
  }
  EXPECT_EQ(store->Stats().appends, 320U);
}

TEST_P(Conformance, KeysThatNeverWereAreNotFound) {
  auto store = Open();
  const BlobRef ref = AppendNow(*store, "something").value();
  for (const BlobRef& other : {BlobRef{ref.key, 4}, BlobRef{ref.key + (uint64_t{1} << 30), 9},
                               BlobRef{uint64_t{77} << kBlobOffsetBits | 88, 9}, BlobRef{0, 0}}) {
    const absl::StatusCode code = store->Read(other, 0, 0).status().code();
    EXPECT_EQ(code, absl::StatusCode::kNotFound) << other.key << " " << other.size;
  }
  EXPECT_EQ(store->Read(ref, 0, 0).value(), "something");
}

TEST_P(Conformance, LargeMessagesAreReadWholeInPartsAndInChunks) {
  auto store = Open();
  auto aborted = store->BeginUpload().value();
  ASSERT_TRUE(aborted->Write(std::string(300'000, 'x')).ok());
  aborted->Abort();
  aborted.reset();
  auto upload = store->BeginUpload().value();
  std::string body;
  for (int i = 0; i < 100; ++i) {
    const std::string chunk(95'000 + i, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(upload->Write(chunk).ok());
    body += chunk;
  }
  EXPECT_TRUE(upload->Written().value() == body);
  const BlobRef ref = upload->Finish("digest").value();
  upload.reset();
  for (int round = 0; round < 2; ++round) {
    const auto reader = store->OpenReader(ref).value();
    std::string read;
    for (std::string part = reader->Next(100'000).value(); !part.empty();
         part = reader->Next(100'000).value()) {
      read += part;
    }
    EXPECT_TRUE(read == body);
    EXPECT_TRUE(store->Read(ref, 0, 0).value() == body);
    EXPECT_EQ(store->Read(ref, 4'999'990, 30).value(), body.substr(4'999'990, 30));
    EXPECT_EQ(store->ReadAux(ref).value(), "digest");
    store.reset();
    store = Open();
  }
  EXPECT_TRUE(store->Damage().empty());
}

std::map<uint64_t, uint64_t> AllOf(BlobStore& store) {
  std::map<uint64_t, uint64_t> all;
  uint64_t last = 0;
  const auto visit = [&](const BlobRecord& record) {
    EXPECT_TRUE(record.status.ok()) << record.status;
    EXPECT_GT(record.ref.key, last);
    last = record.ref.key;
    all[record.ref.key] = record.ref.size;
    return true;
  };
  EXPECT_TRUE(store.ForEach(visit, [](uint64_t) {}).ok());
  return all;
}

// Destroys a part of all, again and again, over restarts: the rest stays under its keys.
TEST_P(Conformance, DestroyedMessagesAreGoneAndTheOthersKeepTheirKeys) {
  auto store = Open();
  std::map<uint64_t, std::pair<BlobRef, uint64_t>> living;
  std::vector<uint64_t> dead;
  std::vector<BlobRef> buried;
  for (uint64_t round = 0; round < 4; ++round) {
    for (uint64_t i = 0; i < 25; ++i) {
      const uint64_t number = round * 100 + i;
      const BlobRef ref = (i % 10 == 3 ? UploadNow(*store, BodyOf(number))
                                       : AppendNow(*store, BodyOf(number), "aux"))
                              .value();
      living[ref.key] = {ref, number};
    }
    store.reset();
    store = Open();
    for (auto at = living.begin(); at != living.end();) {
      const bool dies = (at->second.second + round) % 3 == 0;
      if (dies) dead.push_back(at->first);
      if (dies) buried.push_back(at->second.first);
      at = dies ? living.erase(at) : std::next(at);
    }
    for (int again = 0; again < 3; ++again) {
      const std::vector<uint64_t> gone = store->Destroy(dead).value();
      for (const uint64_t key : gone) std::erase(dead, key);
      for (const auto& [key, entry] : living) {
        EXPECT_EQ(store->Read(entry.first, 0, 0).value(), BodyOf(entry.second));
      }
      for (const BlobRef& ref : buried) {
        const bool named = std::find(dead.begin(), dead.end(), ref.key) != dead.end();
        const bool hidden = store->Read(ref, 0, 0).status().code() == absl::StatusCode::kNotFound;
        EXPECT_TRUE(hidden || named) << ref.key;
      }
    }
    const std::map<uint64_t, uint64_t> all = AllOf(*store);
    EXPECT_EQ(all.size(), living.size());
    for (const auto& [key, entry] : living) EXPECT_TRUE(all.contains(key)) << key;
  }
  EXPECT_TRUE(store->Damage().empty());
}

// Those that are to be had here: an object store may be given in POSTHORN_S3.
std::vector<const char*> Forms() {
  std::vector<const char*> forms = {"Local", "Shared", "S3"};
  if (std::getenv("POSTHORN_S3") != nullptr) forms.push_back("Given");
  return forms;
}

INSTANTIATE_TEST_SUITE_P(Forms, Conformance, testing::ValuesIn(Forms()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace posthorn::store_service
