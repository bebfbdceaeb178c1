#pragma once

// The journal's file format. Pure.
//   header, 44 bytes, little endian: magic "PHJ1", version, kind, 2 bytes 0, part, body length, 16 bytes message id,
//   4 bytes 0, CRC-32C of the body, CRC-32C of the 40 bytes before; then the body.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "delivery-queue/journal/journal.h"

namespace posthorn::delivery_queue {

enum class RecordKind : uint8_t { kPut = 1, kDone = 2, kCommit = 3 };

inline constexpr size_t kRecordHeader = 44;
inline constexpr uint32_t kMaxRecord = 64U << 20;

struct RecordHeader {
  RecordKind kind = RecordKind::kCommit;
  EntryKey key;
  uint32_t length = 0;
  uint32_t body_crc = 0;
};

void AppendRecord(std::string& out, RecordKind kind, const EntryKey& key, std::string_view body);
// Nothing when the 44 bytes are not a valid header.
std::optional<RecordHeader> ParseHeader(std::string_view bytes);

// One record found in a file.
struct FoundRecord {
  RecordHeader header;
  uint64_t offset = 0;  // of the header
  bool damaged = false;
};
// Walks over a file's bytes: every record up to the last valid commit mark, in order. A damaged body is reported and
// skipped by its length; a damaged header is skipped to the next valid one.
class RecordScan {
 public:
  explicit RecordScan(std::string_view file);
  std::optional<FoundRecord> Next();
  uint64_t damaged() const { return damaged_; }

 private:
  std::optional<FoundRecord> Step();
  std::string_view file_;
  uint64_t at_ = 0;
  uint64_t end_ = 0;  // behind the last valid commit mark
  uint64_t damaged_ = 0;
};

}  // namespace posthorn::delivery_queue
