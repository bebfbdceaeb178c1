#pragma once

// Message bytes from wherever they are kept, as a stream.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::delivery_queue {

class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // The next bytes; empty at the end. An error: they cannot be read now, or (kNotFound, kDataLoss)
  // never.
  virtual net::Task<absl::StatusOr<std::string>> Next() = 0;
};

class Bodies {
 public:
  virtual ~Bodies() = default;
  virtual std::unique_ptr<BodyStream> Open(uint64_t blob_key, uint64_t blob_size) = 0;
};

}  // namespace posthorn::delivery_queue
