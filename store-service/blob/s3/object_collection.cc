#include "store-service/blob/s3/object_collection.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/s3/object_file.h"

namespace posthorn::store_service {
namespace {

bool Older(const Unit& unit, int64_t ms) { return base::WallMillis() - unit.modified_ms >= ms; }

uint64_t KeyOf(const Unit& unit, const Found& found) {
  if (unit.name.generation > 0) {
    return unit.name.segment << kBlobOffsetBits | found.original_offset;
  }
  return ObjectKey(unit.name.segment, unit.name.first, found.offset);
}

// Whether some of what `pack` was merged from is still there.
bool HasSources(const std::vector<Unit>& units, size_t pack) {
  return std::any_of(units.begin(), units.end(), [&](const Unit& unit) {
    return unit.size != 0 && unit.replaced_by == static_cast<int>(pack);
  });
}

bool MayHold(const Unit& unit, uint64_t key) {
  return unit.name.first <= IndexOf(key) && IndexOf(key) <= unit.name.last;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Segment>> ObjectCollection::Open(const Unit& unit) {
  return OpenObject(client_, NameOf(unit.name), ObjectNumber(unit.name.segment, unit.name.first),
                    unit.size);
}

absl::StatusOr<std::vector<uint64_t>> ObjectCollection::Destroy(const std::vector<uint64_t>& keys) {
  marks_.AddDead(keys);
  std::map<uint64_t, std::vector<uint64_t>> by_segment;
  for (const uint64_t key : keys) by_segment[SegmentOf(key)].push_back(key);
  ASSIGN_OR_RETURN(const std::vector<uint64_t> segments, Segments());
  for (const uint64_t segment : segments) {
    RETURN_IF_ERROR(Tidy(segment, marks_.DeadOf(segment)));
  }
  std::vector<uint64_t> gone;
  for (const auto& [segment, wanted] : by_segment) {
    RETURN_IF_ERROR(WhatIsGone(segment, wanted, gone));
  }
  return gone;
}

absl::Status ObjectCollection::Tidy(uint64_t segment, const Keys& dead) {
  ASSIGN_OR_RETURN(std::vector<Unit> units, ListUnits(client_, reader_, segment));
  RETURN_IF_ERROR(DeleteReplaced(units));
  std::vector<double> shares(units.size(), 0);
  RETURN_IF_ERROR(DeleteDead(units, dead, shares));
  return MergeRuns(units, dead, shares);
}

// What is gone is of size 0 from then on: places in `units` are names to one another.
//
// An object goes before the one that names it as its source; else nothing would tell any more that
// it was merged, and it would be back.
absl::Status ObjectCollection::DeleteReplaced(std::vector<Unit>& units) {
  std::vector<size_t> order(units.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return units[a].name.generation < units[b].name.generation;
  });
  for (const size_t i : order) {
    Unit& unit = units[i];
    if (unit.replaced_by < 0 || HasSources(units, i)) continue;
    if (!Older(units[static_cast<size_t>(unit.replaced_by)], rules_.keep_ms)) continue;
    RETURN_IF_ERROR(client_.Delete(NameOf(unit.name)));
    KILL_POINT("store.object.deleted");
    unit.size = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<double> ObjectCollection::DeadShareOf(const Unit& unit, const Keys& dead) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Segment> object, Open(unit));
  uint64_t bytes = 0;
  uint64_t dead_bytes = 0;
  uint64_t living = 0;
  bool damaged = false;
  RETURN_IF_ERROR(object->Walk([&](const Found& found) {
    damaged = damaged || found.damaged;
    if (found.damaged || found.header.kind != RecordKind::kMessage) return true;
    const bool gone = dead.contains(KeyOf(unit, found));
    bytes += RecordSize(found.header);
    (gone ? dead_bytes : living) += gone ? RecordSize(found.header) : 1;
    return true;
  }));
  if (damaged) return 0.0;  // it stays for a person with better tools
  if (living == 0) return 1.0;
  return std::min(0.99, static_cast<double>(dead_bytes) / static_cast<double>(bytes));
}

absl::Status ObjectCollection::DeleteDead(std::vector<Unit>& units, const Keys& dead,
                                          std::vector<double>& shares) {
  for (size_t i = 0; i < units.size(); ++i) {
    const auto touched = [&](uint64_t key) { return MayHold(units[i], key); };
    if (units[i].size == 0 || std::none_of(dead.begin(), dead.end(), touched)) continue;
    const absl::StatusOr<double> share = DeadShareOf(units[i], dead);
    // Gone meanwhile, or damaged: ForEach says so.
    if (absl::IsNotFound(share.status()) || share.status().code() == absl::StatusCode::kDataLoss) {
      continue;
    }
    RETURN_IF_ERROR(share.status());
    shares[i] = *share;
    if (*share < 1.0) continue;
    if (HasSources(units, i)) continue;
    RETURN_IF_ERROR(client_.Delete(NameOf(units[i].name)));
    KILL_POINT("store.object.deleted");
    units[i].size = 0;
  }
  return absl::OkStatus();
}

bool ObjectCollection::Fit(const Unit& unit, double share) const {
  return unit.size <= rules_.pack_bytes && share < 1.0 && Older(unit, rules_.settle_ms) &&
         (unit.size < rules_.small_bytes || share >= rules_.dead_share);
}

// Of neighbours only: the range of a merged object holds nothing that was left out.
absl::Status ObjectCollection::MergeRuns(const std::vector<Unit>& units, const Keys& dead,
                                         const std::vector<double>& shares) {
  std::vector<Unit> run;
  uint64_t bytes = 0;
  bool mostly_dead = false;
  const auto finish = [&]() -> absl::Status {
    absl::Status status;
    if (run.size() >= rules_.least_units || (mostly_dead && !run.empty())) {
      status = Merge(run, dead);
    }
    run.clear();
    bytes = 0;
    mostly_dead = false;
    return status;
  };
  for (size_t i = 0; i < units.size(); ++i) {
    if (units[i].size == 0 || units[i].replaced_by >= 0) continue;
    const bool fits = Fit(units[i], shares[i]);
    if (!fits || bytes + units[i].size > rules_.pack_bytes) RETURN_IF_ERROR(finish());
    if (!fits) continue;
    run.push_back(units[i]);
    bytes += units[i].size;
    mostly_dead = mostly_dead || shares[i] >= rules_.dead_share;
  }
  return finish();
}

absl::Status ObjectCollection::Gather(const Unit& unit, const Keys& dead,
                                      std::vector<MovedRecord>& records) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Segment> object, Open(unit));
  absl::Status failure;
  RETURN_IF_ERROR(object->Walk([&](const Found& found) {
    if (found.damaged) failure = base::DataLoss("a place that is no record");
    if (found.damaged || found.header.kind != RecordKind::kMessage) return failure.ok();
    const uint64_t key = KeyOf(unit, found);
    if (dead.contains(key)) return true;
    // As it is: a damaged body stays damaged and says so when it is read.
    MovedRecord record{.original = OffsetOf(key), .header = found.header};
    record.bytes.resize(RecordSize(found.header) - kHeaderBytes);
    const auto got = object->file().ReadAt(found.offset + kHeaderBytes, record.bytes);
    if (!got.ok()) failure = got.status();
    if (got.ok() && *got < record.bytes.size()) failure = base::DataLoss("the object is too short");
    records.push_back(std::move(record));
    return failure.ok();
  }));
  return failure;
}

absl::Status ObjectCollection::Merge(const std::vector<Unit>& run, const Keys& dead) {
  std::vector<MovedRecord> records;
  std::vector<std::string> sources;
  UnitName name{.segment = run.front().name.segment,
                .first = run.front().name.first,
                .last = run.front().name.last};
  for (const Unit& unit : run) {
    const absl::Status gathered = Gather(unit, dead, records);
    // Damaged ones are left as they are, and their neighbours with them.
    if (gathered.code() == absl::StatusCode::kDataLoss || absl::IsNotFound(gathered)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(gathered);
    sources.push_back(NameOf(unit.name));
    name.last = std::max(name.last, unit.name.last);
    name.generation = std::max(name.generation, unit.name.generation + 1);
  }
  // In order of key, each once: what a collector that was thought dead left may hold some again.
  const auto before = [](const MovedRecord& a, const MovedRecord& b) {
    return a.original < b.original;
  };
  const auto same = [](const MovedRecord& a, const MovedRecord& b) {
    return a.original == b.original;
  };
  std::stable_sort(records.begin(), records.end(), before);
  records.erase(std::unique(records.begin(), records.end(), same), records.end());
  std::random_device random;
  std::string word;
  for (int i = 0; i < 8; ++i) word.push_back(static_cast<char>(random()));
  name.word = base::Hex(word);
  ASSIGN_OR_RETURN(const uint32_t salt, reader_.SaltOf(name.segment));
  const SegmentHead head{.number = ObjectNumber(name.segment, name.first),
                         .generation = name.generation,
                         .salt = salt,
                         .created_ms = base::WallMillis()};
  RETURN_IF_ERROR(client_.Put(NameOf(name), EncodePack(head, sources, records)));
  KILL_POINT("store.object.merged");
  return absl::OkStatus();
}

absl::Status ObjectCollection::WhatIsGone(uint64_t segment, const std::vector<uint64_t>& keys,
                                          std::vector<uint64_t>& gone) {
  ASSIGN_OR_RETURN(const std::vector<Unit> units, ListUnits(client_, reader_, segment));
  Keys held;
  for (const Unit& unit : units) {
    std::shared_ptr<const PackMap> map;
    for (const uint64_t key : keys) {
      if (!MayHold(unit, key)) continue;
      if (unit.name.generation > 0 && map == nullptr) {
        const auto read = reader_.MapOf(unit.name);
        if (absl::IsNotFound(read.status())) break;  // by another collector
        RETURN_IF_ERROR(read.status());
        map = *read;
      }
      const auto here = [&](const auto& place) { return place.first == OffsetOf(key); };
      if (map == nullptr || std::any_of(map->places.begin(), map->places.end(), here)) {
        held.insert(key);
      }
    }
  }
  for (const uint64_t key : keys) {
    if (!held.contains(key)) gone.push_back(key);
  }
  return absl::OkStatus();
}

ObjectCollection::Totals ObjectCollection::totals() {
  const std::lock_guard lock(totals_mutex_);
  return totals_;
}

}  // namespace posthorn::store_service
