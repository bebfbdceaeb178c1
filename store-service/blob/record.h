#pragma once

// The stored form of a segment: records of a 64-byte header, body, aux, padding to 8 bytes. Little
// endian. A header's checksum is seeded with the segment's random salt and the record's own offset,
// so that neither a message that contains a forged record nor a misplaced write is ever taken for
// one. Bump kVersion when the layout changes; readers keep the old ones.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::store_service {

inline constexpr size_t kHeaderBytes = 64;
inline constexpr uint32_t kRecordMagic = 0x31524850;  // "PHR1"
inline constexpr uint8_t kVersion = 1;

enum class RecordKind : uint8_t {
  kSegment = 1,  // first in the file; body: SegmentHead
  kMessage = 2,
  kCommit = 3,  // everything before it was written by finished group commits
  kMap = 4,  // in a rewritten segment: pairs of (offset in keys, offset in this file), 8 bytes each
  kSources = 5,  // in a merged object: the names of those it was made of, a line each
};

struct RecordHeader {
  RecordKind kind = RecordKind::kMessage;
  uint16_t flags = 0;            // room: compression, encryption
  uint64_t length = 0;           // of the body as stored
  uint64_t original_length = 0;  // of the message; of the batch for a commit mark
  uint32_t aux_length = 0;
  uint32_t body_crc = 0;
  uint32_t aux_crc = 0;
  std::array<char, 16> content_hash{};  // room: identity of content
};

// Bytes a record takes with its padding.
constexpr uint64_t RecordSize(uint64_t length, uint64_t aux_length) {
  return (kHeaderBytes + length + aux_length + 7) / 8 * 8;
}
inline uint64_t RecordSize(const RecordHeader& header) {
  return RecordSize(header.length, header.aux_length);
}

using HeaderBytes = std::array<char, kHeaderBytes>;
HeaderBytes EncodeHeader(const RecordHeader& header, uint32_t salt, uint64_t offset);
// Nothing when `bytes` is not a header made for this place.
std::optional<RecordHeader> DecodeHeader(std::string_view bytes, uint32_t salt, uint64_t offset);

// The body of the first record. Its header is checked with salt 0.
struct SegmentHead {
  uint64_t number = 0;
  uint32_t generation = 0;  // how often it was rewritten
  uint32_t salt = 0;
  int64_t created_ms = 0;
};
inline constexpr size_t kSegmentHeadBytes = 24;
inline constexpr uint64_t kFirstRecord = RecordSize(kSegmentHeadBytes, 0);
// The whole first record.
std::string EncodeSegmentHead(const SegmentHead& head);
std::optional<SegmentHead> DecodeSegmentHead(std::string_view bytes);

void PutFixed64(std::string& out, uint64_t value);
uint64_t GetFixed64(std::string_view bytes);
void PutFixed32(std::string& out, uint32_t value);
uint32_t GetFixed32(std::string_view bytes);

}  // namespace posthorn::store_service
