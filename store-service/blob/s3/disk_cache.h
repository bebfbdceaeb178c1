#pragma once

// Messages out of the object store on this machine's disk, within a budget of bytes, oldest use out
// first. It may be lost at any time: nothing is synced, and what does not check is removed and is
// as if it had never been there. Any thread; blocks for the disk.
//   FOLDER/of-WORD          whose bytes these are; all goes when it is another bucket's
//   FOLDER/KEY-BYTES        a message and its aux; the name comes when all is written

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_store.h"

namespace posthorn::store_service {

struct CachedRecord {
  std::string body;
  std::string aux;
};

class DiskCache {
 public:
  struct Options {
    std::string folder;  // made when it is missing; nothing else may be in it
    std::string word;    // tells buckets apart
    uint64_t bytes = 0;
    file::FileSystem* system = &file::Real();
  };
  // Takes over what an earlier run left.
  static absl::StatusOr<std::unique_ptr<DiskCache>> Open(Options options);

  std::optional<CachedRecord> Find(const BlobRef& ref);
  // Best effort: a full disk gives back half of what is here.
  void Put(const BlobRef& ref, std::string_view body, std::string_view aux);
  void Erase(uint64_t key);
  uint64_t bytes();

 private:
  struct Entry {
    uint64_t key = 0;
    uint64_t size = 0;  // of the file
  };
  using Entries = std::list<Entry>;  // the latest use first

  explicit DiskCache(Options options) : options_(std::move(options)) {}
  absl::Status Load();
  std::optional<Entry> EntryOf(const std::string& name) const;
  void Add(const Entry& entry);
  absl::Status Write(const BlobRef& ref, std::string_view body, std::string_view aux);
  std::string PathOf(const Entry& entry) const;
  // The entries that are too much for `budget`, no longer known; their files are the caller's.
  Entries TakeOldest(uint64_t budget);
  void Unlink(const Entries& entries);

  const Options options_;
  std::mutex mutex_;
  Entries entries_;
  std::unordered_map<uint64_t, Entries::iterator> places_;
  uint64_t bytes_ = 0;
  uint64_t written_ = 0;
};

}  // namespace posthorn::store_service
