#pragma once

// Giving space back: dead segments are unlinked, mostly dead ones rewritten with a map, so that
// keys stay valid. Not rewritten and not unlinked: open segments, and those with places that cannot
// be read as records (what was lost there may be wanted by a person with better tools).

#include <cstdint>
#include <memory>
#include <unordered_set>

#include "absl/status/statusor.h"
#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

struct DeadShare {
  uint64_t records = 0;
  uint64_t dead_records = 0;
  uint64_t bytes = 0;
  uint64_t dead_bytes = 0;
  bool damaged = false;
};
absl::StatusOr<DeadShare> MeasureDead(Segment& segment, const std::unordered_set<uint64_t>& dead);

// `form` of `old`, without the records in `dead`: whole and durable, but not yet noted.
absl::StatusOr<std::shared_ptr<Segment>> Rewrite(SegmentSet& segments, Segment& old,
                                                 const std::unordered_set<uint64_t>& dead,
                                                 const SegmentSet::Form& form);

}  // namespace posthorn::store_service
