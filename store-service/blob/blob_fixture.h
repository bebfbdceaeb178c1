#pragma once

// What the tests of all forms of BlobStore need.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/strings.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/local_blob_store.h"

namespace posthorn::store_service {

// In memory where that can be had: nothing here needs a disk, and thousands of stores are opened.
class Folder {
 public:
  Folder() {
    root = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    root += "/posthorn_blob_XXXXXX";
    root = ::mkdtemp(root.data());
  }
  ~Folder() { std::filesystem::remove_all(root); }
  Folder(const Folder&) = delete;
  std::string blobs() const { return root + "/blobs"; }
  std::string segment(int number) const {
    return base::StrCat(blobs(), "/segments/000000000", number, ".seg");
  }
  std::string root;
};

inline absl::StatusOr<BlobRef> AppendNow(BlobStore& store, std::string body, std::string aux = "") {
  std::promise<absl::StatusOr<BlobRef>> promise;
  store.Append(std::move(body), std::move(aux),
               [&](absl::StatusOr<BlobRef> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

inline absl::StatusOr<BlobRef> UploadNow(BlobStore& store, std::string_view body) {
  auto upload = store.BeginUpload();
  if (!upload.ok()) return upload.status();
  for (; !body.empty(); body.remove_prefix(std::min<size_t>(body.size(), 5'000))) {
    if (absl::Status status = (*upload)->Write(body.substr(0, 5'000)); !status.ok()) return status;
  }
  return (*upload)->Finish("upload");
}

inline std::unique_ptr<BlobStore> OpenStore(LocalBlobOptions options) {
  auto store = OpenLocalBlobStore(std::move(options));
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

inline size_t FilesIn(const std::string& path) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) count += entry.exists();
  return count;
}

inline void Flip(const std::string& path, uint64_t at) {
  std::fstream file(path);
  file.seekg(static_cast<std::streamoff>(at));
  const int was = file.get();
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(was ^ 0x10));
}

// A message that its number tells.
inline std::string BodyOf(uint64_t number) {
  std::string body = base::StrCat("message ", number, " ");
  while (body.size() < number * 131 % 3'000) base::StrAppend(body, number, ".");
  return body;
}

}  // namespace posthorn::store_service
