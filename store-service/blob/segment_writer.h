#pragma once

// Batches into a segment file: one write, one sync.

#include <atomic>
#include <memory>

#include "store-service/blob/appender.h"
#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

class SegmentWriter final : public BatchWriter {
 public:
  // `segment`: an open one to go on with, or null. A segment is ended at `roll_bytes` and at the
  // age of `roll_ms` (0: at none).
  SegmentWriter(SegmentSet& segments, std::shared_ptr<Segment> segment, uint64_t roll_bytes,
                int64_t roll_ms)
      : segments_(segments),
        roll_bytes_(roll_bytes),
        roll_ms_(roll_ms),
        segment_(std::move(segment)) {}

  absl::Status Write(const std::vector<Message>& batch, std::vector<BlobRef>& refs) override;
  // The next batch begins a new segment. Any thread.
  void Roll() { roll_ = true; }

 private:
  absl::Status Prepare();
  SegmentSet& segments_;
  const uint64_t roll_bytes_;
  const int64_t roll_ms_;
  std::shared_ptr<Segment> segment_;
  std::atomic<bool> roll_{false};
};

}  // namespace posthorn::store_service
