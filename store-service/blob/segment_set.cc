#include "store-service/blob/segment_set.h"

#include "lib/base/strings.h"
#include "store-service/blob/segment_table.h"

namespace posthorn::store_service {

SegmentSet::SegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage)
    : BlobMarks(std::move(on_damage)),
      system_(system),
      directory_(std::move(directory)),
      segments_directory_(directory_ + "/segments") {}

std::string SegmentSet::PathOf(uint64_t number, uint32_t generation) const {
  return base::StrCat(segments_directory_, "/", SegmentName(number, generation));
}

}  // namespace posthorn::store_service
