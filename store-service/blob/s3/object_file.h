#pragma once

// An object as a file to read from front to back, so that Segment can walk it.

#include <memory>
#include <string>

#include "store-service/blob/s3/s3_client.h"
#include "store-service/blob/segment.h"

namespace posthorn::store_service {

// An object or a merged one of that number and size. kNotFound: it is gone; kDataLoss: its head or
// its map is damaged. `client` outlives it.
absl::StatusOr<std::shared_ptr<Segment>> OpenObject(S3Client& client, const std::string& name,
                                                    uint64_t number, uint64_t size);

}  // namespace posthorn::store_service
