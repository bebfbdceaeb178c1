#pragma once

// The stored form of events: blocks of a 56-byte header, a Bloom filter and up to 64 KiB of
// serialized events, each behind its length (fixed32). Little endian. Bump kBlockVersion when it
// changes.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::common::v1 {
class Event;
}

namespace posthorn::store_service {

inline constexpr uint32_t kBlockMagic = 0x45424850;  // "PHBE"
inline constexpr uint8_t kBlockVersion = 1;
inline constexpr size_t kBlockHeaderBytes = 56;
inline constexpr size_t kMostBlockPayload = size_t{64} * 1024;

struct BlockHeader {
  uint32_t count = 0;
  uint32_t payload_length = 0;
  uint32_t payload_crc = 0;
  uint32_t bloom_length = 0;
  uint32_t bloom_crc = 0;
  int64_t min_ms = 0;
  int64_t max_ms = 0;
};
inline uint64_t BlockSize(const BlockHeader& header) {
  return kBlockHeaderBytes + header.bloom_length + header.payload_length;
}
// Nothing when `bytes` does not begin with a sound header.
std::optional<BlockHeader> DecodeBlockHeader(std::string_view bytes);

// What a search can look for in a Bloom filter, as 64-bit hashes.
uint64_t MessageToken(std::string_view message_id);
uint64_t AddressToken(std::string_view address);  // any case; "@domain" too
uint64_t HeaderIdToken(std::string_view header_message_id);
uint64_t WordToken(std::string_view word);  // any case
// The words of a subject: runs of letters, digits and bytes above 127.
std::vector<std::string_view> Words(std::string_view text);
bool BloomMayHold(std::string_view bloom, uint64_t token);

// Collects events for one block.
class BlockBuilder {
 public:
  // False when the event does not fit any more (an empty builder takes any event of at most
  // kMostBlockPayload).
  bool Add(const common::v1::Event& event);
  bool empty() const { return count_ == 0; }
  // The block's bytes; the builder is empty afterwards.
  std::string Finish();

 private:
  std::string payload_;
  std::string scratch_;
  std::vector<uint64_t> tokens_;
  uint32_t count_ = 0;
  int64_t min_ms_ = 0;
  int64_t max_ms_ = 0;
};

// Calls `visit` for each event of a payload that parses.
void ForEachEvent(std::string_view payload, const std::function<void(common::v1::Event&&)>& visit);

}  // namespace posthorn::store_service
