// A journal file of any bytes, and a sound one that is damaged: whatever the scan calls undamaged
// is a record that was written.

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "delivery-queue/journal/record.h"
#include "tests/fuzz/damage.h"

namespace {

using namespace posthorn::delivery_queue;
using Written = std::set<std::pair<EntryKey, std::string>>;

// Undamaged records that begin before `garbage` must be among `written`.
void Scan(std::string_view file, const Written& written, size_t garbage) {
  RecordScan scan(file);
  uint64_t end = 0;
  while (const auto found = scan.Next()) {
    if (found->offset < end) std::abort();
    end = found->offset + kRecordHeader + found->header.length;
    if (end > file.size()) std::abort();
    const std::string body(file.substr(found->offset + kRecordHeader, found->header.length));
    const bool known = found->offset >= garbage || found->damaged ||
                       found->header.kind == RecordKind::kCommit ||
                       written.contains({found->header.key, body});
    if (!known) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Scan({reinterpret_cast<const char*>(data), size}, {}, 0);
  posthorn::fuzz::Input input(data, size);
  Written written;
  std::string file;
  for (int records = input.Byte() % 8; records > 0; --records) {
    const EntryKey key{posthorn::base::MessageId::Derive({}, std::to_string(input.Byte())),
                       input.Byte()};
    const RecordKind kind = input.Byte() % 3 == 0 ? RecordKind::kDone : RecordKind::kPut;
    const std::string body(input.Bytes(kind == RecordKind::kPut ? input.Byte() : 0));
    AppendRecord(file, kind, key, body);
    written.emplace(key, body);
    if (input.Byte() % 2 == 0) AppendRecord(file, RecordKind::kCommit, {}, {});
  }
  const size_t garbage = posthorn::fuzz::Damage(input, file);
  Scan(file, written, garbage);
  return 0;
}
