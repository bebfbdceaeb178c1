#pragma once

// Segments for large messages: each upload owns one while it writes. Any thread.

#include <memory>
#include <mutex>
#include <vector>

#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

class UploadPool {
 public:
  UploadPool(SegmentSet& segments, std::vector<std::shared_ptr<Segment>> idle, size_t most,
             uint64_t roll_bytes, int64_t roll_ms)
      : segments_(segments),
        most_(most),
        roll_bytes_(roll_bytes),
        roll_ms_(roll_ms),
        idle_(std::move(idle)) {}

  // kResourceExhausted when `most` are under way.
  absl::StatusOr<std::unique_ptr<Upload>> Begin();
  // The next uploads begin new segments.
  void Roll();

  // For uploads: gives a segment back.
  void Return(std::shared_ptr<Segment> segment);

 private:
  SegmentSet& segments_;
  const size_t most_;
  const uint64_t roll_bytes_;
  const int64_t roll_ms_;  // a segment is ended at this age; 0: at none
  std::mutex mutex_;
  std::vector<std::shared_ptr<Segment>> idle_;
  size_t busy_ = 0;
};

}  // namespace posthorn::store_service
