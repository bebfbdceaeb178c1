#pragma once

// Stores on a server that checks every signature, refuses a name's second content and fails on
// demand.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/s3/object_names.h"
#include "store-service/blob/s3/s3_blob_store.h"
#include "store-service/blob/s3/strict_server.h"

namespace posthorn::store_service {

class S3 : public testing::Test {
 protected:
  S3BlobOptions Options(std::string writer) {
    return {.target = server_.target(),
            .timing = {.connect_ms = 1'000,
                       .stall_ms = 1'000,
                       .first_pause_ms = 5,
                       .longest_pause_ms = 50,
                       .give_up_ms = 3'000},
            .merge = {.settle_ms = 0, .keep_ms = 0},
            .registry = &registry_,
            .writer = writer,
            .spool = base::StrCat(folder_.root, "/spool-", writer),
            .cache_bytes = 0,
            .on_damage = [](const BlobDamage&) {}};
  }
  // For faults that stay.
  S3BlobOptions Impatient(std::string writer) {
    S3BlobOptions options = Options(std::move(writer));
    options.timing.give_up_ms = 500;
    return options;
  }
  std::unique_ptr<BlobStore> OpenWith(S3BlobOptions options) {
    auto store = OpenS3BlobStore(std::move(options));
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  std::unique_ptr<BlobStore> Open(std::string writer) { return OpenWith(Options(writer)); }
  std::string FileOf(const std::string& name) const {
    std::string file = folder_.root + "/objects/";
    for (const char c : "store/one/" + name) {
      if (c == '/') file += "%2F";
      if (c != '/') file += c;
    }
    return file;
  }
  std::string Names() const {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.root + "/objects")) {
      base::StrAppend(names, " ", entry.path().filename().string());
    }
    return names;
  }
  size_t Objects(const std::string& prefix) const {
    size_t count = 0;
    const std::string begin = FileOf(prefix);
    for (const auto& entry : std::filesystem::directory_iterator(folder_.root + "/objects")) {
      count += entry.path().string().starts_with(begin) ? 1 : 0;
    }
    return count;
  }

  std::string FileOf(const BlobRef& ref) const {
    return FileOf(NameOf({.segment = SegmentOf(ref.key), .first = IndexOf(ref.key)}));
  }
  // Keys of all records that check.
  static std::set<uint64_t> Walked(BlobStore& store) {
    std::set<uint64_t> keys;
    EXPECT_TRUE(store
                    .ForEach(
                        [&](const BlobRecord& record) {
                          if (record.status.ok()) keys.insert(record.ref.key);
                          return true;
                        },
                        nullptr)
                    .ok());
    return keys;
  }

  Folder folder_;
  StrictServer server_{folder_.root + "/objects"};
  MemorySegmentRegistry registry_;
};

}  // namespace posthorn::store_service
