#include "store-service/blob/s3/object_writer.h"

#include <random>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/s3/object_codec.h"
#include "store-service/blob/s3/units.h"

namespace posthorn::store_service {
namespace {
constexpr int kMostTries = 16;
}  // namespace

absl::Status ObjectWriter::BeginSegment() {
  std::random_device random;
  for (int i = 0; i < kMostTries; ++i) {
    ASSIGN_OR_RETURN(SegmentRow row, registry_.Take(writer_));
    if (row.number >> (64 - kBlobOffsetBits) != 0) {
      return base::Exhausted("no segment number is left");
    }
    const std::string name = SegmentObject(row.number);
    const absl::Status there = client_.Get(name, 0, 1).status();
    // The registry was restored from a backup: those objects are older, and stay.
    if (there.ok()) continue;
    if (!absl::IsNotFound(there)) return there;
    // So they do when the name above was lost: none of theirs may be written again.
    ASSIGN_OR_RETURN(const bool used, HasObjects(client_, row.number));
    if (used) continue;
    const SegmentHead head{.number = row.number,
                           .generation = 0,
                           .salt = static_cast<uint32_t>(random()),
                           .created_ms = base::WallMillis()};
    RETURN_IF_ERROR(client_.Put(name, base::StrCat(EncodeSegmentHead(head), writer_, "\n")));
    row.state = SegmentState::kOpen;
    RETURN_IF_ERROR(registry_.Update(row).status());
    segment_ = head;
    next_ = 0;
    return absl::OkStatus();
  }
  return base::Unavailable("the registry gives numbers whose objects exist already");
}

absl::StatusOr<ObjectWriter::Slot> ObjectWriter::NextSlot() {
  const std::lock_guard lock(mutex_);
  if (segment_.number == 0 || next_ == kObjectsOfSegment) RETURN_IF_ERROR(BeginSegment());
  Slot slot{.head = segment_, .segment = segment_.number, .index = next_++};
  slot.head.number = ObjectNumber(slot.segment, slot.index);
  slot.name = NameOf({.segment = slot.segment, .first = slot.index, .last = slot.index});
  return slot;
}

absl::Status ObjectWriter::Write(const std::vector<Message>& batch, std::vector<BlobRef>& refs) {
  ASSIGN_OR_RETURN(const Slot slot, NextSlot());
  std::vector<uint64_t> places;
  const std::string bytes = EncodeObject(slot.head, batch, places);
  if (places.back() >= kObjectReach) return base::Internal("a batch above the appender's limit");
  RETURN_IF_ERROR(client_.Put(slot.name, bytes));
  KILL_POINT("store.object.durable");
  for (size_t i = 0; i < batch.size(); ++i) {
    refs.push_back({ObjectKey(slot.segment, slot.index, places[i]), batch[i].body.size()});
    reader_.Keep(refs.back(), batch[i].body, batch[i].aux);
  }
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
