#include "store-service/blob/record.h"

#include <algorithm>

#include "lib/base/crc32c.h"

namespace posthorn::store_service {
namespace {

template <class T>
void Put(char* out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<char>(value >> (8 * i));
}
template <class T>
T Get(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<uint8_t>(bytes[i])) << (8 * i));
  }
  return value;
}

uint32_t HeaderCrc(std::string_view bytes, uint32_t salt, uint64_t offset) {
  char place[8];
  Put<uint64_t>(place, offset);
  return base::Crc32c(bytes.substr(0, 60), base::Crc32c({place, 8}, salt));
}

}  // namespace

HeaderBytes EncodeHeader(const RecordHeader& header, uint32_t salt, uint64_t offset) {
  HeaderBytes bytes{};
  char* out = bytes.data();
  Put<uint32_t>(out, kRecordMagic);
  Put<uint8_t>(out + 4, kVersion);
  Put<uint8_t>(out + 5, static_cast<uint8_t>(header.kind));
  Put<uint16_t>(out + 6, header.flags);
  Put<uint64_t>(out + 8, header.length);
  Put<uint64_t>(out + 16, header.original_length);
  Put<uint32_t>(out + 24, header.aux_length);
  Put<uint32_t>(out + 28, header.body_crc);
  Put<uint32_t>(out + 32, header.aux_crc);
  std::copy(header.content_hash.begin(), header.content_hash.end(), out + 40);
  Put<uint32_t>(out + 60, HeaderCrc({out, kHeaderBytes}, salt, offset));
  return bytes;
}

std::optional<RecordHeader> DecodeHeader(std::string_view bytes, uint32_t salt, uint64_t offset) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  if (Get<uint32_t>(bytes) != kRecordMagic || Get<uint8_t>(bytes.substr(4)) != kVersion)
    return std::nullopt;
  if (Get<uint32_t>(bytes.substr(60)) != HeaderCrc(bytes, salt, offset)) return std::nullopt;
  RecordHeader header;
  header.kind = static_cast<RecordKind>(Get<uint8_t>(bytes.substr(5)));
  header.flags = Get<uint16_t>(bytes.substr(6));
  header.length = Get<uint64_t>(bytes.substr(8));
  header.original_length = Get<uint64_t>(bytes.substr(16));
  header.aux_length = Get<uint32_t>(bytes.substr(24));
  header.body_crc = Get<uint32_t>(bytes.substr(28));
  header.aux_crc = Get<uint32_t>(bytes.substr(32));
  // Larger than a segment can be: no arithmetic with it.
  if (header.length >> 40 != 0) return std::nullopt;
  std::copy_n(bytes.begin() + 40, header.content_hash.size(), header.content_hash.begin());
  return header;
}

std::string EncodeSegmentHead(const SegmentHead& head) {
  std::string body;
  PutFixed64(body, head.number);
  PutFixed32(body, head.generation);
  PutFixed32(body, head.salt);
  PutFixed64(body, static_cast<uint64_t>(head.created_ms));
  RecordHeader header;
  header.kind = RecordKind::kSegment;
  header.length = header.original_length = body.size();
  header.body_crc = base::Crc32c(body);
  const HeaderBytes bytes = EncodeHeader(header, 0, 0);
  return std::string(bytes.data(), bytes.size()) + body;
}

std::optional<SegmentHead> DecodeSegmentHead(std::string_view bytes) {
  const std::optional<RecordHeader> header = DecodeHeader(bytes, 0, 0);
  if (!header || header->kind != RecordKind::kSegment || header->length != kSegmentHeadBytes ||
      bytes.size() < kFirstRecord) {
    return std::nullopt;
  }
  const std::string_view body = bytes.substr(kHeaderBytes, kSegmentHeadBytes);
  if (base::Crc32c(body) != header->body_crc) return std::nullopt;
  SegmentHead head;
  head.number = GetFixed64(body);
  head.generation = GetFixed32(body.substr(8));
  head.salt = GetFixed32(body.substr(12));
  head.created_ms = static_cast<int64_t>(GetFixed64(body.substr(16)));
  return head;
}

void PutFixed64(std::string& out, uint64_t value) {
  char bytes[8];
  Put<uint64_t>(bytes, value);
  out.append(bytes, 8);
}
uint64_t GetFixed64(std::string_view bytes) { return Get<uint64_t>(bytes); }
void PutFixed32(std::string& out, uint32_t value) {
  char bytes[4];
  Put<uint32_t>(bytes, value);
  out.append(bytes, 4);
}
uint32_t GetFixed32(std::string_view bytes) { return Get<uint32_t>(bytes); }

}  // namespace posthorn::store_service
