#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::store_service {

// The digest (lib/mime/digest.h, serialized) of each stored blob, made once when it was put. On the
// store's loop.
class DigestSource {
 public:
  virtual ~DigestSource() = default;
  // From memory only; null when it is not there (any more). What was put in the last seconds is.
  virtual std::shared_ptr<const std::string> Recent(uint64_t blob_key) const = 0;
  // From memory, else from the blob's record, else made again from its bytes. kNotFound: no such
  // blob.
  virtual net::Task<absl::StatusOr<std::shared_ptr<const std::string>>> Get(uint64_t blob_key,
                                                                            uint64_t blob_size) = 0;
};

}  // namespace posthorn::store_service
