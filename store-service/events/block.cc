#include "store-service/events/block.h"

#include <algorithm>
#include <bit>

#include "lib/base/crc32c.h"
#include "lib/base/strings.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::store_service {
namespace {

using common::v1::Event;

constexpr size_t kBitsPerToken = 10;
constexpr int kProbes = 6;

void Put32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}
void Put64(std::string& out, uint64_t value) {
  Put32(out, static_cast<uint32_t>(value));
  Put32(out, static_cast<uint32_t>(value >> 32));
}
uint32_t Get32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return value;
}
uint64_t Get64(std::string_view bytes) {
  return Get32(bytes) | uint64_t{Get32(bytes.substr(4))} << 32;
}

// FNV-1a over lower-case bytes with a final mix: the same on every machine, as it is stored. `kind`
// keeps a word from meeting an address.
uint64_t Hash(char kind, std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325ULL ^ static_cast<uint8_t>(kind);
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<uint8_t>(base::ToLower(byte))) * 0x100000001b3ULL;
  }
  hash ^= hash >> 32;
  hash *= 0x9e3779b97f4a7c15ULL;
  return hash ^ hash >> 29;
}

// The probes of a token, in a filter whose number of bits is a power of two.
uint64_t Bit(uint64_t token, int probe, uint64_t bits) {
  const uint64_t step = (token >> 33) | 1;
  return (token + static_cast<uint64_t>(probe) * step) & (bits - 1);
}

std::string MakeBloom(std::vector<uint64_t>& tokens) {
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  const uint64_t bits = std::bit_ceil(std::max<uint64_t>(64, tokens.size() * kBitsPerToken));
  std::string bloom(bits / 8, '\0');
  for (const uint64_t token : tokens) {
    for (int probe = 0; probe < kProbes; ++probe) {
      const uint64_t bit = Bit(token, probe, bits);
      bloom[bit / 8] = static_cast<char>(bloom[bit / 8] | 1 << (bit % 8));
    }
  }
  return bloom;
}

void AddAddress(std::string_view address, std::vector<uint64_t>& tokens) {
  if (address.empty()) return;
  tokens.push_back(AddressToken(address));
  const size_t at = address.rfind('@');
  if (at != std::string_view::npos && at > 0) tokens.push_back(AddressToken(address.substr(at)));
}

void AddTokens(const Event& event, std::vector<uint64_t>& tokens) {
  tokens.push_back(MessageToken(event.message_id()));
  if (!event.parent_id().empty()) tokens.push_back(MessageToken(event.parent_id()));
  AddAddress(event.sender(), tokens);
  for (const std::string& recipient : event.recipients()) AddAddress(recipient, tokens);
  if (!event.header_message_id().empty()) {
    tokens.push_back(HeaderIdToken(event.header_message_id()));
  }
  for (const std::string_view word : Words(event.subject())) tokens.push_back(WordToken(word));
}

bool IsWordByte(char byte) {
  const auto value = static_cast<uint8_t>(byte);
  return value > 127 || (value >= '0' && value <= '9') || (value >= 'a' && value <= 'z') ||
         (value >= 'A' && value <= 'Z');
}

}  // namespace

uint64_t MessageToken(std::string_view message_id) {
  // Random already; the case of its bytes matters.
  return message_id.size() == 16 ? Get64(message_id.substr(8)) * 0x9e3779b97f4a7c15ULL : 0;
}
uint64_t AddressToken(std::string_view address) { return Hash('a', address); }
uint64_t HeaderIdToken(std::string_view header_message_id) { return Hash('h', header_message_id); }
uint64_t WordToken(std::string_view word) { return Hash('w', word); }

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && IsWordByte(text[end])) ++end;
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

bool BloomMayHold(std::string_view bloom, uint64_t token) {
  const uint64_t bits = bloom.size() * 8;
  if (!std::has_single_bit(bits)) return true;
  for (int probe = 0; probe < kProbes; ++probe) {
    const uint64_t bit = Bit(token, probe, bits);
    if ((static_cast<uint8_t>(bloom[bit / 8]) >> (bit % 8) & 1) == 0) return false;
  }
  return true;
}

std::optional<BlockHeader> DecodeBlockHeader(std::string_view bytes) {
  if (bytes.size() < kBlockHeaderBytes || Get32(bytes) != kBlockMagic ||
      static_cast<uint8_t>(bytes[4]) != kBlockVersion ||
      Get32(bytes.substr(52)) != base::Crc32c(bytes.substr(0, 52))) {
    return std::nullopt;
  }
  BlockHeader header;
  header.count = Get32(bytes.substr(8));
  header.payload_length = Get32(bytes.substr(12));
  header.payload_crc = Get32(bytes.substr(16));
  header.bloom_length = Get32(bytes.substr(20));
  header.bloom_crc = Get32(bytes.substr(24));
  header.min_ms = static_cast<int64_t>(Get64(bytes.substr(28)));
  header.max_ms = static_cast<int64_t>(Get64(bytes.substr(36)));
  return header;
}

bool BlockBuilder::Add(const Event& event) {
  scratch_.clear();
  if (!event.AppendToString(&scratch_)) return false;
  if (payload_.size() + scratch_.size() + 4 > kMostBlockPayload) return false;
  Put32(payload_, static_cast<uint32_t>(scratch_.size()));
  payload_ += scratch_;
  AddTokens(event, tokens_);
  const auto time = static_cast<int64_t>(event.time_ms());
  min_ms_ = count_ == 0 ? time : std::min(min_ms_, time);
  max_ms_ = count_ == 0 ? time : std::max(max_ms_, time);
  ++count_;
  return true;
}

std::string BlockBuilder::Finish() {
  const std::string bloom = MakeBloom(tokens_);
  std::string out;
  out.reserve(kBlockHeaderBytes + bloom.size() + payload_.size());
  Put32(out, kBlockMagic);
  Put32(out, kBlockVersion);
  Put32(out, count_);
  Put32(out, static_cast<uint32_t>(payload_.size()));
  Put32(out, base::Crc32c(payload_));
  Put32(out, static_cast<uint32_t>(bloom.size()));
  Put32(out, base::Crc32c(bloom));
  Put64(out, static_cast<uint64_t>(min_ms_));
  Put64(out, static_cast<uint64_t>(max_ms_));
  Put64(out, 0);  // room
  Put32(out, base::Crc32c(out));
  out += bloom;
  out += payload_;
  payload_.clear();
  tokens_.clear();
  count_ = 0;
  return out;
}

void ForEachEvent(std::string_view payload, const std::function<void(Event&&)>& visit) {
  while (payload.size() >= 4) {
    const uint32_t length = Get32(payload);
    payload.remove_prefix(4);
    if (length > payload.size()) return;
    Event event;
    if (event.ParseFromArray(payload.data(), static_cast<int>(length))) visit(std::move(event));
    payload.remove_prefix(length);
  }
}

}  // namespace posthorn::store_service
