#include "store-service/blob/compaction.h"

#include <algorithm>
#include <random>

#include "lib/base/clock.h"
#include "lib/base/crc32c.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

uint64_t KeyOf(const Segment& segment, const Found& found) {
  return segment.number() << kBlobOffsetBits | found.original_offset;
}

// Everything of a record behind its header, as it is: a damaged body stays damaged and says so when
// read.
absl::Status CopyBytes(file::File& from, uint64_t at, file::File& to, uint64_t target,
                       uint64_t length) {
  std::string buffer;
  for (uint64_t done = 0; done < length; done += buffer.size()) {
    buffer.resize(std::min<uint64_t>(length - done, 1 << 20));
    ASSIGN_OR_RETURN(const size_t got, from.ReadAt(at + done, buffer));
    if (got < buffer.size()) return base::DataLoss("the segment is shorter than its record");
    RETURN_IF_ERROR(to.WriteAt(target + done, buffer));
  }
  return absl::OkStatus();
}

absl::Status CopyRecord(Segment& old, const Found& found, Segment& fresh, uint64_t target) {
  const HeaderBytes header = EncodeHeader(found.header, fresh.salt(), target);
  RETURN_IF_ERROR(fresh.file().WriteAt(target, std::string_view(header.data(), header.size())));
  return CopyBytes(old.file(), found.offset + kHeaderBytes, fresh.file(), target + kHeaderBytes,
                   RecordSize(found.header) - kHeaderBytes);
}

// Of a commit that the power cut short: nobody was answered. In the new file nothing would tell it
// from damage.
bool NeverWhole(Segment& segment, const Found& found) {
  return segment.doubtful() != 0 && found.offset >= segment.doubtful() &&
         CheckRecord(segment.file(), found.offset, found.header).code() ==
             absl::StatusCode::kDataLoss;
}

// The map's record and the commit mark: from here on the file is whole.
absl::Status Finish(Segment& fresh, const std::string& map, uint64_t end) {
  RecordHeader header;
  header.kind = RecordKind::kMap;
  header.length = header.original_length = map.size();
  header.body_crc = base::Crc32c(map);
  const HeaderBytes bytes = EncodeHeader(header, fresh.salt(), end);
  return fresh.Commit({std::string_view(bytes.data(), bytes.size()), map},
                      end + RecordSize(header) - kFirstRecord, "segment.rewrite");
}

}  // namespace

absl::StatusOr<DeadShare> MeasureDead(Segment& segment, const std::unordered_set<uint64_t>& dead) {
  DeadShare share;
  RETURN_IF_ERROR(segment.Walk([&](const Found& found) {
    if (found.damaged) {
      share.damaged = share.damaged || segment.doubtful() == 0 || found.offset < segment.doubtful();
      return true;
    }
    if (found.header.kind != RecordKind::kMessage) return true;
    const uint64_t size = RecordSize(found.header);
    ++share.records;
    share.bytes += size;
    if (!dead.contains(KeyOf(segment, found))) return true;
    ++share.dead_records;
    share.dead_bytes += size;
    return true;
  }));
  return share;
}

absl::StatusOr<std::shared_ptr<Segment>> Rewrite(SegmentSet& segments, Segment& old,
                                                 const std::unordered_set<uint64_t>& dead,
                                                 const SegmentSet::Form& form) {
  std::random_device random;
  ASSIGN_OR_RETURN(const std::shared_ptr<Segment> fresh,
                   Segment::Create(segments.system(), form.path,
                                   {.number = old.number(),
                                    .generation = form.generation,
                                    .salt = static_cast<uint32_t>(random()),
                                    .created_ms = old.created_ms()}));
  uint64_t end = kFirstRecord;
  std::string map;
  absl::Status failure;
  RETURN_IF_ERROR(old.Walk([&](const Found& found) {
    if (found.damaged || found.header.kind != RecordKind::kMessage) return true;
    if (dead.contains(KeyOf(old, found)) || NeverWhole(old, found)) return true;
    failure = CopyRecord(old, found, *fresh, end);
    PutFixed64(map, found.original_offset);
    PutFixed64(map, end);
    end += RecordSize(found.header);
    return failure.ok();
  }));
  RETURN_IF_ERROR(failure);
  RETURN_IF_ERROR(Finish(*fresh, map, end));
  RETURN_IF_ERROR(
      segments.system().SyncDirectory(segments.segments_directory(), "segment.rewrite.dir"));
  KILL_POINT("store.segment.rewritten");
  return Segment::Open(segments.system(), form.path, old.number(), fresh->durable_end());
}

}  // namespace posthorn::store_service
