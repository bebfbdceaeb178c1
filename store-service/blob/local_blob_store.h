#pragma once

// BlobStore in segment files, in a folder of its own or one that several stores share. Owns one
// appender thread.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/blob/shared_segment_set.h"

namespace posthorn::store_service {

struct LocalBlobOptions {
  std::string directory;
  file::FileSystem* system = &file::Real();
  // A segment is ended by the first commit that finds it this large.
  uint64_t roll_bytes = uint64_t{256} << 20;
  // More bytes than this waiting for a commit: appends fail with kUnavailable at once.
  uint64_t most_waiting_bytes = uint64_t{128} << 20;
  // Large messages on their way in at the same time; each has a segment of its own.
  size_t most_uploads = 16;
  // A sealed segment is rewritten when this share of its bytes is dead.
  double rewrite_share = 0.5;
  // An open segment of at least this size is ended for that.
  uint64_t least_roll_bytes = uint64_t{1} << 20;
  // Several stores have the directory together: who knows which segments there are. Outlives the
  // store. Null: the directory is this store's alone.
  SegmentRegistry* registry = nullptr;
  // Its name among them; see SharedSegmentSet.
  std::string writer;
  SharedTimes shared;
  // Gets the answers of one commit, on the appender's thread, so that the owner can post them to
  // its loop at once. Empty: each `done` is called there.
  std::function<void(std::vector<Completion>)> deliver;
  // Once for each damaged place, on the thread that met it. Empty: ReportDamage of scrubber.h.
  std::function<void(const BlobDamage&)> on_damage;
};

// Blocks while the ends of open segments are examined. kDataLoss: the segment table is damaged;
// kUnavailable: the directory is in use by another store, or by one of the same name;
// kFailedPrecondition: not the directory that the registry is about.
absl::StatusOr<std::unique_ptr<BlobStore>> OpenLocalBlobStore(LocalBlobOptions options);

}  // namespace posthorn::store_service
