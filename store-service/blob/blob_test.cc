#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/local_blob_store.h"

namespace posthorn::store_service {
namespace {

TEST(BlobStore, AppendedMessageIsReadBackAlsoAfterRestart) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  const auto ref = AppendNow(*store, "Subject: hello\r\n\r\nbody", "digest");
  ASSERT_TRUE(ref.ok()) << ref.status();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(store->Read(*ref, 0, 0).value(), "Subject: hello\r\n\r\nbody");
    EXPECT_EQ(store->Read(*ref, 9, 5).value(), "hello");
    EXPECT_EQ(store->ReadAux(*ref).value(), "digest");
    EXPECT_TRUE(store->Damage().empty());
    store.reset();
    store = OpenStore({.directory = folder.blobs()});
    const auto later = AppendNow(*store, "another");
    ASSERT_TRUE(later.ok());
    EXPECT_NE(*later, *ref);
    EXPECT_EQ(store->Read(*later, 0, 0).value(), "another");
  }
}

TEST(BlobStore, SixteenThreadsAppendAtOnceAndAllIsReadable) {
  const Folder folder;
  const auto store = OpenStore({.directory = folder.blobs(), .roll_bytes = 100'000});
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
  const auto store = OpenStore({.directory = folder.blobs()});
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

TEST(BlobStore, UploadIsReadBackInChunksAndAnAbortedOneLeavesNothing) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs(), .most_uploads = 1});
  auto upload = store->BeginUpload().value();
  EXPECT_EQ(store->BeginUpload().status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(upload->Write(std::string(300'000, 'x')).ok());
  upload->Abort();
  upload = store->BeginUpload().value();
  std::string body;
  for (int i = 0; i < 20; ++i) {
    const std::string chunk(65'000 + i, static_cast<char>('a' + i));
    ASSERT_TRUE(upload->Write(chunk).ok());
    body += chunk;
  }
  EXPECT_EQ(upload->Written().value(), body);
  const BlobRef ref = upload->Finish("digest").value();
  upload.reset();
  for (int round = 0; round < 2; ++round) {
    const auto reader = store->OpenReader(ref).value();
    std::string read;
    for (std::string part = reader->Next(100'000).value(); !part.empty();
         part = reader->Next(100'000).value()) {
      read += part;
    }
    EXPECT_EQ(read, body);
    EXPECT_EQ(store->Read(ref, 65'000, 3).value(), body.substr(65'000, 3));
    EXPECT_EQ(store->ReadAux(ref).value(), "digest");
    store.reset();
    store = OpenStore({.directory = folder.blobs()});
  }
  EXPECT_TRUE(store->Damage().empty());
}

TEST(BlobStore, RewrittenSegmentsKeepTheirKeysAndGiveSpaceBack) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs(), .roll_bytes = 50'000});
  std::vector<BlobRef> refs;
  for (int i = 0; i < 100; ++i) {
    refs.push_back(AppendNow(*store, std::string(3'000, static_cast<char>(i))).value());
  }
  const uint64_t before = store->Stats().bytes;
  std::vector<uint64_t> dead;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < refs.size(); ++i) {
      if (i % 4 == static_cast<size_t>(round)) dead.push_back(refs[i].key);
    }
    ASSERT_TRUE(store->Destroy(dead).ok());
    for (int reopened = 0; reopened < 2; ++reopened) {
      for (size_t i = 0; i < refs.size(); ++i) {
        const auto read = store->Read(refs[i], 0, 0);
        if (i % 4 <= static_cast<size_t>(round)) {
          EXPECT_EQ(read.status().code(), absl::StatusCode::kNotFound) << i;
        } else {
          EXPECT_EQ(read.value(), std::string(3'000, static_cast<char>(i)));
        }
      }
      store.reset();
      store = OpenStore({.directory = folder.blobs(), .roll_bytes = 50'000});
      ASSERT_TRUE(store->Destroy(dead).ok());  // the owner names again what was not gone
    }
  }
  EXPECT_LT(store->Stats().bytes, before * 3 / 4);
  EXPECT_TRUE(store->Damage().empty());
  EXPECT_EQ(FilesIn(folder.blobs() + "/segments"), store->Stats().segments);
}

TEST(BlobStore, SegmentWithoutLivingMessagesIsUnlinked) {
  const Folder folder;
  const auto store = OpenStore({.directory = folder.blobs(), .roll_bytes = 1});
  const BlobRef first = AppendNow(*store, "first").value();
  const BlobRef second = AppendNow(*store, "second").value();
  EXPECT_EQ(store->Destroy({first.key, second.key}).value(), std::vector<uint64_t>({first.key}));
  EXPECT_EQ(store->Read(first, 0, 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->Read(second, 0, 0).status().code(), absl::StatusCode::kNotFound);
  const BlobRef third = AppendNow(*store, "third").value();
  EXPECT_EQ(store->Destroy({second.key}).value(), std::vector<uint64_t>({second.key}));
  EXPECT_EQ(store->Read(third, 0, 0).value(), "third");
  EXPECT_EQ(FilesIn(folder.blobs() + "/segments"), 1U);
}

TEST(BlobStore, SecondStoreOnTheSameDirectoryIsRefused) {
  const Folder folder;
  auto store = OpenStore({.directory = folder.blobs()});
  EXPECT_EQ(OpenLocalBlobStore({.directory = folder.blobs()}).status().code(),
            absl::StatusCode::kUnavailable);
  store.reset();
  EXPECT_TRUE(OpenLocalBlobStore({.directory = folder.blobs()}).ok());
}

TEST(BlobStore, TooMuchWaitingIsRefusedAtOnceAndAnsweredInBatches) {
  const Folder folder;
  std::mutex mutex;
  std::condition_variable changed;
  size_t answered = 0;
  size_t refused = 0;
  const auto deliver = [&](std::vector<Completion> completions) {
    const std::lock_guard lock(mutex);
    for (Completion& completion : completions) {
      ++answered;
      refused += completion.result.status().code() == absl::StatusCode::kUnavailable ? 1 : 0;
    }
    changed.notify_all();
  };
  const auto store =
      OpenStore({.directory = folder.blobs(), .most_waiting_bytes = 1'000, .deliver = deliver});
  store->Append(std::string(2'000, 'x'), "", nullptr);
  store->Append(std::string(900, 'x'), "", nullptr);
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return answered == 2; }));
  EXPECT_EQ(refused, 1U);
}

}  // namespace
}  // namespace posthorn::store_service
