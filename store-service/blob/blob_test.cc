#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "store-service/blob/local_blob_store.h"

namespace posthorn::store_service {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/posthorn_blob_XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_ + "/blobs"; }

 private:
  std::string path_;
};

absl::StatusOr<BlobRef> AppendNow(BlobStore& store, std::string body, std::string aux = "") {
  std::promise<absl::StatusOr<BlobRef>> promise;
  store.Append(std::move(body), std::move(aux),
               [&](absl::StatusOr<BlobRef> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

std::unique_ptr<BlobStore> OpenStore(LocalBlobOptions options) {
  auto store = OpenLocalBlobStore(std::move(options));
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

TEST(BlobStore, AppendedMessageIsReadBackAlsoAfterRestart) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.path()});
  const auto ref = AppendNow(*store, "Subject: hello\r\n\r\nbody", "digest");
  ASSERT_TRUE(ref.ok()) << ref.status();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(store->Read(*ref, 0, 0).value(), "Subject: hello\r\n\r\nbody");
    EXPECT_EQ(store->Read(*ref, 9, 5).value(), "hello");
    EXPECT_EQ(store->ReadAux(*ref).value(), "digest");
    EXPECT_TRUE(store->Damage().empty());
    store.reset();
    store = OpenStore({.directory = folder.path()});
    const auto later = AppendNow(*store, "another");
    ASSERT_TRUE(later.ok());
    EXPECT_NE(*later, *ref);
    EXPECT_EQ(store->Read(*later, 0, 0).value(), "another");
  }
}

TEST(BlobStore, SixteenThreadsAppendAtOnceAndAllIsReadable) {
  const Folder folder;
  const auto store = OpenStore({.directory = folder.path(), .roll_bytes = 100'000});
  std::vector<std::vector<std::pair<BlobRef, std::string>>> told(16);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < told.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 50; ++i) {
        std::string body(37 * i + t, static_cast<char>('a' + t));
        const auto ref = AppendNow(*store, body);
        if (ref.ok()) told[t].emplace_back(*ref, std::move(body));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& list : told) {
    ASSERT_EQ(list.size(), 50U);
    for (const auto& [ref, body] : list) EXPECT_EQ(store->Read(ref, 0, 0).value(), body);
  }
  EXPECT_GT(store->Stats().segments, 3U);
  EXPECT_EQ(store->Stats().appends, 800U);
}

TEST(BlobStore, UnknownKeysAreNotFound) {
  const Folder folder;
  const auto store = OpenStore({.directory = folder.path()});
  const BlobRef ref = AppendNow(*store, "something").value();
  const BlobRef wrong[] = {{ref.key, 4},
                           {ref.key + 8, 9},
                           {ref.key + 1, 9},
                           {ref.key + (1 << 20), 9},
                           {uint64_t{77} << kBlobOffsetBits | 88, 9},
                           {0, 0}};
  for (const BlobRef& other : wrong) {
    const absl::StatusCode code = store->Read(other, 0, 0).status().code();
    EXPECT_TRUE(code == absl::StatusCode::kNotFound || code == absl::StatusCode::kDataLoss)
        << other.key << " " << other.size << " " << code;
  }
  EXPECT_EQ(store->Read(ref, 5, 5).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store->Read(ref, 9, 0).value(), "");
}

}  // namespace
}  // namespace posthorn::store_service
