#pragma once

// BlobStore in a bucket of an S3 server: one group commit is one object. Owns its appender threads.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/s3/object_collection.h"
#include "store-service/blob/s3/object_upload.h"
#include "store-service/blob/s3/s3_client.h"
#include "store-service/blob/segment_registry.h"

namespace posthorn::store_service {

struct S3BlobOptions {
  S3Target target;
  S3Timing timing;
  MergeRules merge;
  SegmentRegistry* registry = nullptr;  // outlives the store
  std::string writer;                   // this store's name
  // Large messages are gathered here on their way in; nothing in it outlives the process.
  std::string spool;
  file::FileSystem* system = &file::Real();
  // What was read or written lately is kept in so many bytes of memory, and behind it in so many
  // of this machine's disk: a folder of its own (empty: none).
  size_t cache_bytes = size_t{256} << 20;
  std::string disk_cache;
  uint64_t disk_cache_bytes = uint64_t{1} << 30;
  // Objects on their way at the same time; while they are, the next batch collects.
  int commit_threads = 2;
  uint64_t most_waiting_bytes = uint64_t{128} << 20;
  ObjectUploads::Limits uploads;
  // As of LocalBlobOptions.
  std::function<void(std::vector<Completion>)> deliver;
  std::function<void(const BlobDamage&)> on_damage;
};

// Blocks for some requests. kUnavailable: the server is away or refuses us; kFailedPrecondition:
// not the bucket (or prefix) that the other stores use.
absl::StatusOr<std::unique_ptr<BlobStore>> OpenS3BlobStore(S3BlobOptions options);

}  // namespace posthorn::store_service
