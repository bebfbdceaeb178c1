#pragma once

// Messages out of objects, checked. Any thread; blocks for the network. What was read lately is
// kept in a cache.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/s3/lru_cache.h"
#include "store-service/blob/s3/object_codec.h"
#include "store-service/blob/s3/object_names.h"
#include "store-service/blob/s3/record_cache.h"
#include "store-service/blob/s3/s3_client.h"

namespace posthorn::store_service {

class ObjectReader {
 public:
  // Told, by whatever thread meets it, that the object which says a segment's salt is lost or
  // damaged; reading goes on by what each object's own head says.
  using OnLostSalt = std::function<void(uint64_t segment, std::string what)>;
  ObjectReader(S3Client& client, size_t cache_bytes, OnLostSalt on_lost_salt)
      : client_(client),
        on_lost_salt_(std::move(on_lost_salt)),
        records_(cache_bytes),
        maps_(cache_bytes / 4 + kLeastMaps) {}

  // The contracts are BlobStore's.
  absl::StatusOr<std::string> Read(const BlobRef& ref, uint64_t offset, uint64_t length);
  absl::StatusOr<std::string> ReadAux(const BlobRef& ref);
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef& ref);

  // For the writer: what will be read soon.
  void Keep(const BlobRef& ref, std::string body, std::string aux);
  void Forget(uint64_t key) { records_.Erase(key); }
  // Before anything is read.
  void SetDisk(std::unique_ptr<DiskCache> disk) { records_.SetDisk(std::move(disk)); }

  // kNotFound: no such segment.
  absl::StatusOr<uint32_t> SaltOf(uint64_t segment);
  absl::StatusOr<std::shared_ptr<const PackMap>> MapOf(const UnitName& pack);

  // For its readers.
  struct Place {
    std::string object;
    uint64_t offset = 0;
    RecordHeader header;
  };
  absl::StatusOr<Place> Locate(const BlobRef& ref);
  // `length` bytes of the body, unchecked.
  absl::StatusOr<std::string> ReadPart(const BlobRef& ref, uint64_t offset, uint64_t length);
  // Exactly `length` bytes. kDataLoss when the object ends before.
  absl::StatusOr<std::string> ReadExactly(const std::string& object, uint64_t at, uint64_t length);

 private:
  static constexpr size_t kLeastMaps = size_t{8} << 20;
  using Record = CachedRecord;
  absl::StatusOr<std::shared_ptr<const Record>> ReadRecord(const BlobRef& ref);
  absl::StatusOr<Record> FetchRecord(const BlobRef& ref, const std::string& object, uint64_t at,
                                     uint32_t salt);
  absl::StatusOr<uint32_t> SaltFor(const UnitName& written);
  absl::StatusOr<Place> FetchHeader(const BlobRef& ref, const std::string& object, uint64_t at,
                                    uint32_t salt);
  template <class Fetch>
  auto Fetching(uint64_t key, const Fetch& fetch) -> decltype(fetch("", 0, 0));
  std::vector<UnitName> PacksOver(uint64_t key);
  absl::Status LookForPacks(uint64_t segment);

  S3Client& client_;
  const OnLostSalt on_lost_salt_;
  RecordCache records_;
  LruCache<std::string, PackMap> maps_;
  std::mutex mutex_;
  std::map<uint64_t, uint32_t> salts_;
  std::map<uint64_t, std::vector<UnitName>> packs_;
};

}  // namespace posthorn::store_service
