// Reading everything back out of an object store.

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/blob/s3/object_collection.h"
#include "store-service/blob/segment.h"

namespace posthorn::store_service {

struct ObjectCollection::Walk {
  const std::function<bool(const BlobRecord&)>& visit;
  const std::function<void(uint64_t)>& pace;
  Totals totals;
  bool go_on = true;
  uint64_t last = 0;  // up to this key everything was visited
};

absl::StatusOr<std::vector<uint64_t>> ObjectCollection::Segments() {
  // In this order: a segment's object is there before its row says that it is open.
  ASSIGN_OR_RETURN(const std::vector<SegmentRow> rows, registry_.List());
  ASSIGN_OR_RETURN(std::vector<uint64_t> segments, ListSegments(client_));
  for (const SegmentRow& row : rows) {
    if (row.state != SegmentState::kOpen) continue;
    if (std::find(segments.begin(), segments.end(), row.number) != segments.end()) continue;
    RETURN_IF_ERROR(Mend(row));
    segments.push_back(row.number);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

absl::Status ObjectCollection::Mend(const SegmentRow& row) {
  ASSIGN_OR_RETURN(const std::vector<Unit> units, ListUnits(client_, reader_, row.number));
  for (const Unit& unit : units) {
    const auto start = client_.Get(NameOf(unit.name), 0, kFirstRecord);
    if (absl::IsNotFound(start.status())) continue;
    RETURN_IF_ERROR(start.status());
    std::optional<SegmentHead> head = DecodeSegmentHead(start->bytes);
    if (!head || head->number != ObjectNumber(row.number, unit.name.first)) continue;
    head->number = row.number;
    head->generation = 0;
    const std::string name = SegmentObject(row.number);
    RETURN_IF_ERROR(client_.Put(name, base::StrCat(EncodeSegmentHead(*head), row.writer, "\n")));
    observe::Error("store.s3.mended", {{"object", name}, {"from", NameOf(unit.name)}});
    return absl::OkStatus();
  }
  return absl::OkStatus();  // nothing is in it, or nothing tells
}

absl::StatusOr<bool> ObjectCollection::VisitRecord(Segment& object, const Found& found,
                                                   uint64_t key, Walk& walk) {
  if (marks_.IsDead(key) || key <= walk.last) return true;
  const BlobRecord record{{key, found.header.length},
                          CheckRecord(object.file(), found.offset, found.header)};
  const bool damaged = record.status.code() == absl::StatusCode::kDataLoss;
  if (!record.status.ok() && !damaged) return record.status;
  if (damaged) {
    marks_.NoteDamage(SegmentOf(key), OffsetOf(key), std::string(base::Message(record.status)));
  }
  walk.last = key;
  return walk.visit(record);
}

absl::Status ObjectCollection::WalkUnit(const Unit& unit, Walk& walk) {
  const std::string name = NameOf(unit.name);
  const uint64_t start = ObjectKey(unit.name.segment, unit.name.first, 0);
  const absl::StatusOr<std::shared_ptr<Segment>> object = Open(unit);
  if (object.status().code() == absl::StatusCode::kDataLoss) {
    marks_.NoteDamage(unit.name.segment, OffsetOf(start),
                      std::string(base::Message(object.status())));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(object.status());
  absl::Status failure;
  RETURN_IF_ERROR((*object)->Walk([&](const Found& found) {
    if (found.damaged) {
      marks_.NoteDamage(unit.name.segment, OffsetOf(start) + found.offset / 8,
                        base::StrCat(name, " at ", found.offset, ": no record"));
      return true;
    }
    if (walk.pace) walk.pace(RecordSize(found.header));
    if (found.header.kind != RecordKind::kMessage) return true;
    const uint64_t key = unit.name.generation > 0
                             ? unit.name.segment << kBlobOffsetBits | found.original_offset
                             : ObjectKey(unit.name.segment, unit.name.first, found.offset);
    const absl::StatusOr<bool> more = VisitRecord(**object, found, key, walk);
    if (!more.ok()) failure = more.status();
    walk.go_on = more.value_or(false);
    return walk.go_on;
  }));
  return failure;
}

// An object that was merged while the list was read is found under its new name: once more, from
// the last key on.
absl::Status ObjectCollection::WalkSegment(uint64_t segment, Walk& walk) {
  for (bool again = true; again && walk.go_on;) {
    again = false;
    ASSIGN_OR_RETURN(const std::vector<Unit> units, ListUnits(client_, reader_, segment));
    for (const Unit& unit : units) {
      const bool done = walk.last > ObjectKey(segment, unit.name.last, kObjectReach - 8);
      if (unit.replaced_by >= 0 || done) continue;
      const absl::Status status = WalkUnit(unit, walk);
      again = absl::IsNotFound(status);
      if (again) break;
      RETURN_IF_ERROR(status);
      ++walk.totals.objects;
      walk.totals.bytes += unit.size;
      if (!walk.go_on) break;
    }
  }
  return absl::OkStatus();
}

absl::Status ObjectCollection::ForEach(const std::function<bool(const BlobRecord&)>& visit,
                                       const std::function<void(uint64_t)>& pace) {
  Walk walk{visit, pace};
  ASSIGN_OR_RETURN(const std::vector<uint64_t> segments, Segments());
  for (const uint64_t segment : segments) {
    RETURN_IF_ERROR(WalkSegment(segment, walk));
    if (!walk.go_on) return absl::OkStatus();
  }
  const std::lock_guard lock(totals_mutex_);
  totals_ = walk.totals;
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
