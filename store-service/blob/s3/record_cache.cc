#include "store-service/blob/s3/record_cache.h"

#include "lib/observe/metrics.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kEntryBytes = 200;  // of the cache's own, about

struct Metrics {
  observe::Counter* memory = Hits("memory");
  observe::Counter* disk = Hits("disk");
  observe::Counter* misses =
      observe::NewCounter("posthorn_store_s3_cache_misses_total",
                          "Messages up to 1 MiB that had to be fetched from the object store");
  observe::Gauge* memory_bytes = observe::MemoryGauge("s3 cache");
  observe::Gauge* disk_bytes = observe::NewGauge("posthorn_store_s3_cache_disk_bytes",
                                                 "Size of the disk cache of the object store");
  static observe::Counter* Hits(std::string_view where) {
    return observe::NewCounter("posthorn_store_s3_cache_hits_total",
                               "Messages up to 1 MiB that a cache had", {{"where", where}});
  }
};
const Metrics& TheMetrics() {
  static const Metrics kMetrics;
  return kMetrics;
}

}  // namespace

RecordCache::RecordCache(size_t memory_bytes) : memory_(memory_bytes) { TheMetrics(); }

void RecordCache::Tell() {
  TheMetrics().memory_bytes->Set(static_cast<double>(memory_.bytes()));
  if (disk_) TheMetrics().disk_bytes->Set(static_cast<double>(disk_->bytes()));
}

void RecordCache::Remember(const BlobRef& ref, const std::shared_ptr<const CachedRecord>& record) {
  memory_.Put(ref.key, record, record->body.size() + record->aux.size() + kEntryBytes);
}

std::shared_ptr<const CachedRecord> RecordCache::Find(const BlobRef& ref) {
  std::shared_ptr<const CachedRecord> known = memory_.Find(ref.key);
  if (known != nullptr && known->body.size() == ref.size) {
    TheMetrics().memory->Add();
    return known;
  }
  std::optional<CachedRecord> kept = disk_ ? disk_->Find(ref) : std::nullopt;
  if (!kept) {
    TheMetrics().misses->Add();
    return nullptr;
  }
  TheMetrics().disk->Add();
  known = std::make_shared<const CachedRecord>(*std::move(kept));
  Remember(ref, known);
  Tell();
  return known;
}

std::shared_ptr<const CachedRecord> RecordCache::Put(const BlobRef& ref, CachedRecord record) {
  const auto kept = std::make_shared<const CachedRecord>(std::move(record));
  Remember(ref, kept);
  if (disk_) disk_->Put(ref, kept->body, kept->aux);
  Tell();
  return kept;
}

void RecordCache::PutInMemory(const BlobRef& ref, CachedRecord record) {
  Remember(ref, std::make_shared<const CachedRecord>(std::move(record)));
  Tell();
}

void RecordCache::Erase(uint64_t key) {
  memory_.Erase(key);
  if (disk_) disk_->Erase(key);
}

}  // namespace posthorn::store_service
