// A segment that is damaged anywhere: it is recovered, walked and read without harm, what reads as
// sound is what was written, and a second recovery finds nothing more to do.

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "lib/base/crc32c.h"
#include "lib/file/file_system.h"
#include "lib/testing/temp_dir.h"
#include "store-service/blob/segment.h"
#include "store-service/blob/segment_table.h"
#include "tests/fuzz/damage.h"

namespace {

using namespace posthorn;
using namespace posthorn::store_service;
using Bodies = std::set<std::string>;

// One group commit of some messages.
void Commit(fuzz::Input& input, Segment& segment, Bodies& bodies) {
  const uint64_t start = segment.durable_end();
  std::string batch;
  for (int records = input.Byte() % 4; records > 0; --records) {
    const std::string body(input.Bytes(input.Byte()));
    bodies.insert(body);
    RecordHeader header;
    header.length = header.original_length = body.size();
    header.body_crc = base::Crc32c(body);
    header.aux_crc = base::Crc32c("");
    const HeaderBytes bytes = EncodeHeader(header, segment.salt(), start + batch.size());
    const size_t end = batch.size() + RecordSize(header);
    batch.append(bytes.data(), bytes.size()).append(body).resize(end, '\0');
  }
  if (!segment.Commit({batch}, batch.size(), "fuzz").ok()) std::abort();
}

void Look(const std::string& path, const Bodies& bodies, size_t garbage) {
  auto segment = Segment::Open(file::Real(), path, 1, 0);
  if (!segment.ok()) return;  // its head
  if (!(*segment)->Recover([](const Found&) {}).ok()) std::abort();
  file::File& bytes = (*segment)->file();
  const absl::Status walked = (*segment)->Walk([&](const Found& found) {
    if (found.damaged || found.header.kind != RecordKind::kMessage) return true;
    if (!CheckRecord(bytes, found.offset, found.header).ok()) return true;
    std::string body(found.header.length, '\0');
    if (!bytes.ReadAt(found.offset + kHeaderBytes, body).ok()) std::abort();
    if (found.offset < garbage && !bodies.contains(body)) std::abort();
    return true;
  });
  if (!walked.ok()) std::abort();
  const uint64_t end = (*segment)->durable_end();
  auto again = Segment::Open(file::Real(), path, 1, 0);
  if (!again.ok() || !(*again)->Recover([](const Found&) {}).ok()) std::abort();
  if ((*again)->durable_end() != end) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const testing::TempDir folder;
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  (void)ParseTable(raw);
  (void)DecodeSegmentHead(raw);
  fuzz::Input input(data, size);
  const std::string path = folder.path() + "/1.seg";
  (void)file::Real().Unlink(path);
  Bodies bodies;
  {
    auto segment = Segment::Create(file::Real(), path, {.number = 1, .salt = 7});
    if (!segment.ok()) std::abort();
    for (int commits = 1 + input.Byte() % 3; commits > 0; --commits)
      Commit(input, **segment, bodies);
  }
  std::string bytes = file::ReadWhole(file::Real(), path).value();
  const size_t garbage = fuzz::Damage(input, bytes);
  auto file = file::Real().Open(path, file::Mode::kReadWrite);
  if (!file.ok() || !(*file)->Truncate(0).ok() || !(*file)->WriteAt(0, bytes).ok()) std::abort();
  Look(path, bodies, garbage);
  return 0;
}
