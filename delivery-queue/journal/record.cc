#include "delivery-queue/journal/record.h"

#include <cstring>

#include "lib/base/crc32c.h"

namespace posthorn::delivery_queue {
namespace {

constexpr std::string_view kMagic = "PHJ1";

template <class T>
void PutInt(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
uint32_t GetInt(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return value;
}

}  // namespace

void AppendRecord(std::string& out, RecordKind kind, const EntryKey& key, std::string_view body) {
  const size_t start = out.size();
  out.append(kMagic);
  out.push_back(static_cast<char>(kJournalVersion));
  out.push_back(static_cast<char>(kind));
  out.append(2, '\0');
  PutInt(out, key.part);
  PutInt(out, static_cast<uint32_t>(body.size()));
  out.append(key.message.bytes());
  PutInt(out, uint32_t{0});
  PutInt(out, base::Crc32c(body));
  PutInt(out, base::Crc32c(std::string_view(out).substr(start, kRecordHeader - 4)));
  out.append(body);
}

std::optional<RecordHeader> ParseHeader(std::string_view bytes) {
  if (bytes.size() < kRecordHeader || !bytes.starts_with(kMagic)) return {};
  if (GetInt(bytes, 40) != base::Crc32c(bytes.substr(0, 40))) return {};
  const auto kind = static_cast<uint8_t>(bytes[5]);
  if (static_cast<uint8_t>(bytes[4]) != kJournalVersion || kind < 1 || kind > 3) return {};
  RecordHeader header;
  header.kind = static_cast<RecordKind>(kind);
  header.key.part = GetInt(bytes, 8);
  header.length = GetInt(bytes, 12);
  header.key.message = *base::MessageId::FromBytes(bytes.substr(16, 16));
  header.body_crc = GetInt(bytes, 36);
  if (header.length > kMaxRecord) return {};
  return header;
}

RecordScan::RecordScan(std::string_view file) : file_(file), end_(file.size()) {
  uint64_t last_mark = 0;
  while (const std::optional<FoundRecord> found = Step())
    if (found->header.kind == RecordKind::kCommit && !found->damaged) last_mark = at_;
  end_ = last_mark;
  at_ = 0;
  damaged_ = 0;
}

std::optional<FoundRecord> RecordScan::Next() { return Step(); }

std::optional<FoundRecord> RecordScan::Step() {
  while (at_ + kRecordHeader <= end_) {
    const std::optional<RecordHeader> header = ParseHeader(file_.substr(at_));
    if (!header || at_ + kRecordHeader + header->length > end_) {
      ++damaged_;
      const size_t next = file_.find(kMagic, at_ + 1);
      if (next == std::string_view::npos) return {};
      at_ = next;
      continue;
    }
    FoundRecord found{*header, at_, false};
    at_ += kRecordHeader + header->length;
    found.damaged =
        base::Crc32c(file_.substr(found.offset + kRecordHeader, header->length)) != header->body_crc;
    if (found.damaged) ++damaged_;
    return found;
  }
  return {};
}

}  // namespace posthorn::delivery_queue
