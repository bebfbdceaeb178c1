#pragma once

// Where a store keeps the bytes of messages: a folder, alone or together with other stores, or a
// bucket of an object store.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/process/service.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/database/sql/connection.h"

namespace posthorn::store_service {

// --blobs, --s3-endpoint, --s3-region, --s3-credentials-file, --s3-cache, --s3-disk-cache.
std::vector<std::string> MessageFileFlags();

struct MessageFiles {
  std::unique_ptr<SegmentRegistry> registry;  // null: a folder of this store alone
  std::unique_ptr<BlobStore> blobs;           // ends before the registry
};
// `shared`: the database of all stores, or null. Answers of appends are delivered on `service`'s
// loop. Blocks. kInvalidArgument names the bad flag.
absl::StatusOr<MessageFiles> OpenMessageFiles(process::Service& service,
                                              std::shared_ptr<sql::Database> shared);

}  // namespace posthorn::store_service
