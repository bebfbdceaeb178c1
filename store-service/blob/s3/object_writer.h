#pragma once

// Group commits and large messages into objects. Each start of a store has segments of its own, so
// no name is written twice with different bytes, whoever comes back from the dead.

#include <memory>
#include <mutex>
#include <string>

#include "store-service/blob/appender.h"
#include "store-service/blob/s3/object_reader.h"
#include "store-service/blob/s3/s3_client.h"
#include "store-service/blob/segment_registry.h"

namespace posthorn::store_service {

class ObjectWriter final : public BatchWriter {
 public:
  // All outlive this.
  ObjectWriter(S3Client& client, ObjectReader& reader, SegmentRegistry& registry,
               std::string writer)
      : client_(client), reader_(reader), registry_(registry), writer_(std::move(writer)) {}

  // Several threads may do so at once: each writes an object of its own.
  absl::Status Write(const std::vector<Message>& batch, std::vector<BlobRef>& refs) override;

  // The next object's place among all; it is given once, whatever becomes of it.
  struct Slot {
    SegmentHead head;
    uint64_t segment = 0;
    uint32_t index = 0;
    std::string name;
  };
  absl::StatusOr<Slot> NextSlot();

 private:
  absl::Status BeginSegment();
  S3Client& client_;
  ObjectReader& reader_;
  SegmentRegistry& registry_;
  const std::string writer_;
  std::mutex mutex_;
  SegmentHead segment_;  // number 0: none yet
  uint32_t next_ = 0;
};

}  // namespace posthorn::store_service
