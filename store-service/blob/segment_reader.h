#pragma once

// Reading messages out of a SegmentSet. Any thread; blocks for the disk only.

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

// The contracts are BlobStore's.
absl::StatusOr<std::string> ReadBlob(SegmentSet& segments, const BlobRef& ref, uint64_t offset,
                                     uint64_t length);
absl::StatusOr<std::string> ReadBlobAux(SegmentSet& segments, const BlobRef& ref);
absl::StatusOr<std::unique_ptr<BlobReader>> OpenBlobReader(SegmentSet& segments,
                                                           const BlobRef& ref);
absl::Status WalkBlobs(SegmentSet& segments, const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>& pace);

}  // namespace posthorn::store_service
