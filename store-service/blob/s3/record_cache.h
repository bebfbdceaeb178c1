#pragma once

// Messages that were read or written lately: in memory, and behind it on disk. Any thread.

#include <memory>
#include <utility>

#include "store-service/blob/s3/disk_cache.h"
#include "store-service/blob/s3/lru_cache.h"

namespace posthorn::store_service {

class RecordCache {
 public:
  explicit RecordCache(size_t memory_bytes);
  // Before the first use by another thread.
  void SetDisk(std::unique_ptr<DiskCache> disk) { disk_ = std::move(disk); }

  // Null when it is in neither.
  std::shared_ptr<const CachedRecord> Find(const BlobRef& ref);
  // What was fetched, into both.
  std::shared_ptr<const CachedRecord> Put(const BlobRef& ref, CachedRecord record);
  // What was just written, into memory: whoever waits for it to be durable does not wait for this.
  void PutInMemory(const BlobRef& ref, CachedRecord record);
  void Erase(uint64_t key);

 private:
  void Remember(const BlobRef& ref, const std::shared_ptr<const CachedRecord>& record);
  void Tell();

  LruCache<uint64_t, CachedRecord> memory_;
  std::unique_ptr<DiskCache> disk_;  // null: none
};

}  // namespace posthorn::store_service
