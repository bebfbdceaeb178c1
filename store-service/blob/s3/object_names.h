#pragma once

// Where a key's bytes are, by arithmetic alone, and what objects are called:
//   s/SEGMENT                             one start of one writer; its salt
//   o/SEGMENT/INDEX                       one group commit, or one large message
//   p/SEGMENT/FIRST-LAST-GENERATION-WORD  what several objects were merged into
// A key is the segment's number << 40 | the object's index << 21 | the place in it / 8.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store-service/blob/blob_store.h"

namespace posthorn::store_service {

inline constexpr int kPlaceBits = 21;
inline constexpr uint32_t kObjectsOfSegment = 1U << (kBlobOffsetBits - kPlaceBits);
// Records begin below this.
inline constexpr uint64_t kObjectReach = uint64_t{8} << kPlaceBits;

inline uint32_t IndexOf(uint64_t key) { return static_cast<uint32_t>(OffsetOf(key) >> kPlaceBits); }
inline uint64_t PlaceOf(uint64_t key) { return (key & ((uint64_t{1} << kPlaceBits) - 1)) * 8; }
inline uint64_t ObjectKey(uint64_t segment, uint32_t index, uint64_t place) {
  return segment << kBlobOffsetBits | uint64_t{index} << kPlaceBits | place / 8;
}
// What the head of an object says: neither another's object nor another pack is taken for it.
inline uint64_t ObjectNumber(uint64_t segment, uint32_t index) {
  return segment << (kBlobOffsetBits - kPlaceBits) | index;
}

// An object of either kind, as its name tells.
struct UnitName {
  uint64_t segment = 0;
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t generation = 0;  // 0: as it was written
  std::string word;         // no two collectors choose the same
};
std::string NameOf(const UnitName& unit);
// Nothing when it is no such name.
std::optional<UnitName> ParseUnitName(std::string_view name);

std::string SegmentObject(uint64_t segment);
std::optional<uint64_t> ParseSegmentObject(std::string_view name);
std::string ObjectsOf(uint64_t segment);  // the prefix of all
std::string PacksOf(uint64_t segment);

}  // namespace posthorn::store_service
