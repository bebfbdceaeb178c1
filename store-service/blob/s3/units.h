#pragma once

// The objects of one segment, and which of them a later one replaces.

#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/blob/s3/object_names.h"
#include "store-service/blob/s3/object_reader.h"
#include "store-service/blob/s3/s3_client.h"

namespace posthorn::store_service {

struct Unit {
  UnitName name;
  uint64_t size = 0;
  int64_t modified_ms = 0;
  // A merged object of a later generation names it among its sources: this one goes when readers
  // had time. -1: none does.
  int replaced_by = -1;
};

// All objects of `segment` in order of their first index, older generations first.
absl::StatusOr<std::vector<Unit>> ListUnits(S3Client& client, ObjectReader& reader,
                                            uint64_t segment);
absl::StatusOr<std::vector<uint64_t>> ListSegments(S3Client& client);
absl::StatusOr<bool> HasObjects(S3Client& client, uint64_t segment);

}  // namespace posthorn::store_service
