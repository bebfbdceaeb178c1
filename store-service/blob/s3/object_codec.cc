#include "store-service/blob/s3/object_codec.h"

#include <algorithm>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

void AddHeader(std::string& out, const RecordHeader& header, uint32_t salt) {
  const HeaderBytes bytes = EncodeHeader(header, salt, out.size());
  out.append(bytes.data(), bytes.size());
}

void Pad(std::string& out) { out.append((8 - out.size() % 8) % 8, '\0'); }

void AddRecord(std::string& out, RecordKind kind, std::string_view body, std::string_view aux,
               uint32_t salt) {
  RecordHeader header;
  header.kind = kind;
  header.length = header.original_length = body.size();
  header.aux_length = static_cast<uint32_t>(aux.size());
  header.body_crc = base::Crc32c(body);
  header.aux_crc = base::Crc32c(aux);
  AddHeader(out, header, salt);
  base::StrAppend(out, body, aux);
  Pad(out);
}

void AddMark(std::string& out, uint32_t salt, uint64_t offset) {
  RecordHeader mark;
  mark.kind = RecordKind::kCommit;
  mark.original_length = offset - kFirstRecord;
  const HeaderBytes bytes = EncodeHeader(mark, salt, offset);
  out.append(bytes.data(), bytes.size());
}

absl::Status NoPack() { return base::DataLoss("the merged object's map is damaged"); }

// The body of the record at `at`; `needed` when `bytes` end before it does.
absl::StatusOr<std::string_view> ReadBody(std::string_view bytes, uint64_t at, RecordKind kind,
                                          const PackMap& map, uint64_t size, uint64_t& needed) {
  if (bytes.size() < at + kHeaderBytes) {
    needed = at + kHeaderBytes;
    return std::string_view();
  }
  const auto header = DecodeHeader(bytes.substr(at), map.salt, at);
  if (!header || header->kind != kind || at + RecordSize(*header) > size) return NoPack();
  if (bytes.size() < at + RecordSize(*header)) {
    needed = at + RecordSize(*header) + kHeaderBytes;
    return std::string_view();
  }
  const std::string_view body = bytes.substr(at + kHeaderBytes, header->length);
  if (base::Crc32c(body) != header->body_crc) return NoPack();
  return body;
}

}  // namespace

std::string EncodeObject(const SegmentHead& head, const std::vector<Message>& batch,
                         std::vector<uint64_t>& places) {
  std::string out = EncodeSegmentHead(head);
  uint64_t size = out.size() + kHeaderBytes;
  for (const Message& message : batch) size += RecordSize(message.body.size(), message.aux.size());
  out.reserve(size);
  for (const Message& message : batch) {
    places.push_back(out.size());
    AddRecord(out, RecordKind::kMessage, message.body, message.aux, head.salt);
  }
  AddMark(out, head.salt, out.size());
  return out;
}

std::pair<std::string, std::string> EncodeAround(const SegmentHead& head, uint64_t length,
                                                 uint32_t crc, std::string_view aux) {
  RecordHeader header;
  header.length = header.original_length = length;
  header.aux_length = static_cast<uint32_t>(aux.size());
  header.body_crc = crc;
  header.aux_crc = base::Crc32c(aux);
  std::string before = EncodeSegmentHead(head);
  AddHeader(before, header, head.salt);
  std::string behind(aux);
  const uint64_t end = kFirstRecord + RecordSize(header);
  behind.append(end - before.size() - length - aux.size(), '\0');
  AddMark(behind, head.salt, end);
  return {std::move(before), std::move(behind)};
}

std::string EncodePack(const SegmentHead& head, const std::vector<std::string>& sources,
                       const std::vector<MovedRecord>& records) {
  const std::string names = base::Join(sources, "\n");
  uint64_t place = kFirstRecord + RecordSize(records.size() * 16, 0) + RecordSize(names.size(), 0);
  std::string map;
  for (const MovedRecord& record : records) {
    PutFixed64(map, record.original);
    PutFixed64(map, place);
    place += RecordSize(record.header);
  }
  std::string out = EncodeSegmentHead(head);
  out.reserve(place + kHeaderBytes);
  AddRecord(out, RecordKind::kMap, map, "", head.salt);
  AddRecord(out, RecordKind::kSources, names, "", head.salt);
  for (const MovedRecord& record : records) {
    AddHeader(out, record.header, head.salt);
    out += record.bytes;
  }
  AddMark(out, head.salt, out.size());
  return out;
}

absl::StatusOr<PackStart> DecodePackStart(std::string_view start, uint64_t number, uint64_t size) {
  PackStart result;
  const std::optional<SegmentHead> head = DecodeSegmentHead(start);
  if (!head || head->number != number || head->generation == 0) return NoPack();
  PackMap& map = result.map;
  map.salt = head->salt;
  const auto body = ReadBody(start, kFirstRecord, RecordKind::kMap, map, size, result.needed);
  RETURN_IF_ERROR(body.status());
  if (result.needed != 0) return result;
  const uint64_t next = kFirstRecord + RecordSize(body->size(), 0);
  const auto names = ReadBody(start, next, RecordKind::kSources, map, size, result.needed);
  RETURN_IF_ERROR(names.status());
  if (result.needed != 0) return result;
  for (std::string_view rest = *body; rest.size() >= 16; rest.remove_prefix(16)) {
    map.places.emplace_back(GetFixed64(rest), GetFixed64(rest.substr(8)));
  }
  std::sort(map.places.begin(), map.places.end());
  for (const std::string_view name : base::Split(*names, '\n')) map.sources.emplace_back(name);
  map.end = size - std::min<uint64_t>(size, kHeaderBytes);
  return result;
}

}  // namespace posthorn::store_service
