#pragma once

// The bytes of objects: a segment of the local form (record.h) that never grows. A merged one has,
// before its records, a map from where they were to where they are, and the names of what it was
// made of. Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/blob/appender.h"
#include "store-service/blob/record.h"

namespace posthorn::store_service {

// One group commit. `places` gets where each message's record begins.
std::string EncodeObject(const SegmentHead& head, const std::vector<Message>& batch,
                         std::vector<uint64_t>& places);

// What stands around the body of an object with one message: before it, and behind it.
std::pair<std::string, std::string> EncodeAround(const SegmentHead& head, uint64_t length,
                                                 uint32_t crc, std::string_view aux);

// A record on its way into a merged object.
struct MovedRecord {
  uint64_t original = 0;  // OffsetOf(its key)
  RecordHeader header;
  std::string bytes;  // body and aux with padding
};
std::string EncodePack(const SegmentHead& head, const std::vector<std::string>& sources,
                       const std::vector<MovedRecord>& records);

struct PackMap {
  uint32_t salt = 0;
  std::vector<std::pair<uint64_t, uint64_t>> places;  // (original, here), sorted
  std::vector<std::string> sources;
  uint64_t end = 0;  // of the last record
};
struct PackStart {
  PackMap map;
  uint64_t needed = 0;  // not 0: so many bytes are needed to tell
};
// `start`: the first bytes of an object of `size`. kDataLoss: it is not the merged one `number`.
absl::StatusOr<PackStart> DecodePackStart(std::string_view start, uint64_t number, uint64_t size);

}  // namespace posthorn::store_service
