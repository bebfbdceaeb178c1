#pragma once

// Which segments there are, in which form. A small text file, replaced atomically; anyone can read
// it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::store_service {

struct SegmentEntry {
  uint32_t generation = 0;
  uint64_t sealed = 0;    // its final size; 0: still open
  uint64_t doubtful = 0;  // see Segment::doubtful()
  friend bool operator==(const SegmentEntry&, const SegmentEntry&) = default;
};

struct SegmentTable {
  uint64_t next = 1;  // numbers below it are taken, or were
  std::map<uint64_t, SegmentEntry> segments;
  friend bool operator==(const SegmentTable&, const SegmentTable&) = default;
};

std::string EncodeTable(const SegmentTable& table);
// kDataLoss when a line or the checksum at the end is wrong.
absl::StatusOr<SegmentTable> ParseTable(std::string_view text);

// "0000000012.seg", or "0000000012.g1.seg" when rewritten once.
std::string SegmentName(uint64_t number, uint32_t generation);
// False when `name` is not a segment's.
bool ParseSegmentName(std::string_view name, uint64_t& number, uint32_t& generation);

}  // namespace posthorn::store_service
