#pragma once

// Where a store keeps the bytes of messages: a folder, alone or together with other stores, or a
// bucket of an object store.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "lib/process/service.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/database/sql/connection.h"
#include "store-service/database/sql/write_gate.h"

namespace posthorn::store_service {

// --blobs, --s3-endpoint, --s3-region, --s3-credentials-file, --s3-cache, --s3-disk-cache.
std::vector<std::string> MessageFileFlags();

struct MessageFiles {
  std::unique_ptr<SegmentRegistry> registry;  // null: a folder of this store alone
  std::unique_ptr<BlobStore> blobs;           // ends before the registry
  std::string folder;                         // "": a bucket
  std::string registry_file;                  // SQLite; "": none
};
// `shared`: the database of all stores, or null; `gate`: what writers of a file of our own pass.
// Answers of appends are delivered on `service`'s loop. Blocks. kInvalidArgument names the bad
// flag.
absl::StatusOr<MessageFiles> OpenMessageFiles(process::Service& service,
                                              std::shared_ptr<sql::Database> shared,
                                              std::shared_ptr<sql::WriteGate> gate);
// Keeps the metrics of the room where the bytes lie; a folder of others may be slow to say, so
// `files` asks it. All outlive the loop's run.
net::Task<void> WatchRoom(net::Loop* loop, net::BlockingPool* files, BlobStore* blobs);

}  // namespace posthorn::store_service
