#include "store-service/blob/segment_set.h"

#include <random>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {

SegmentSet::SegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage)
    : system_(system),
      directory_(std::move(directory)),
      segments_directory_(directory_ + "/segments"),
      on_damage_(std::move(on_damage)) {}

std::string SegmentSet::PathOf(uint64_t number, uint32_t generation) const {
  return base::StrCat(segments_directory_, "/", SegmentName(number, generation));
}

absl::Status SegmentSet::Load() {
  if (system_.SizeOf(directory_).status().code() == absl::StatusCode::kNotFound) {
    RETURN_IF_ERROR(system_.MakeDirectory(directory_));
    RETURN_IF_ERROR(system_.SyncDirectory(file::DirectoryOf(directory_), "store.parent.dir"));
  }
  ASSIGN_OR_RETURN(lock_, file::DirectoryLock::Take(directory_));
  RETURN_IF_ERROR(system_.MakeDirectory(segments_directory_));
  // Also what an earlier run made or renamed here and was killed before it could sync.
  RETURN_IF_ERROR(system_.SyncDirectory(directory_, "store.found.dir"));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, system_.List(segments_directory_));
  const std::lock_guard lock(table_mutex_);
  RETURN_IF_ERROR(LoadTable(names));
  const std::map<uint64_t, SegmentEntry> named = table_.segments;
  for (const auto& [number, entry] : named) RETURN_IF_ERROR(OpenNamed(number));
  return Adopt(names);
}

absl::Status SegmentSet::LoadTable(const std::vector<std::string>& names) {
  absl::StatusOr<std::string> text =
      file::ReadWhole(system_, base::StrCat(directory_, "/segments.table"));
  if (text.ok()) {
    ASSIGN_OR_RETURN(table_, ParseTable(*text));
    return absl::OkStatus();
  }
  if (text.status().code() != absl::StatusCode::kNotFound) return text.status();
  // The first segment is made before the first table; more than that means the table was lost.
  if (names.size() > 1) return base::DataLoss(base::StrCat(directory_, ": no segment table"));
  return absl::OkStatus();
}

absl::Status SegmentSet::OpenNamed(uint64_t number) {
  SegmentEntry& entry = table_.segments[number];
  absl::StatusOr<std::shared_ptr<Segment>> opened =
      Segment::Open(system_, PathOf(number, entry.generation), number, entry.sealed);
  if (!opened.ok()) {
    const absl::StatusCode code = opened.status().code();
    if (code != absl::StatusCode::kNotFound && code != absl::StatusCode::kDataLoss) {
      return opened.status();
    }
    NoteDamage(number, 0, std::string(base::Message(opened.status())));
    return absl::OkStatus();
  }
  Segment& segment = **opened;
  segment.set_doubtful(entry.doubtful);
  if (!segment.sealed()) {
    RETURN_IF_ERROR(segment.Recover([&](const Found& found) {
      NoteDamage(number, found.offset, base::StrCat("no record; skipped to ", found.resumed));
    }));
  }
  if (segment.sealed()) {
    entry.sealed = segment.durable_end();
    entry.doubtful = segment.doubtful();
  }
  segments_[number] = *std::move(opened);
  return absl::OkStatus();
}

absl::Status SegmentSet::Adopt(const std::vector<std::string>& names) {
  bool changed = false;
  for (const std::string& name : names) {
    uint64_t number = 0;
    uint32_t generation = 0;
    if (!ParseSegmentName(name, number, generation)) continue;
    const auto entry = table_.segments.find(number);
    if (entry != table_.segments.end() && entry->second.generation == generation) continue;
    const std::string path = base::StrCat(segments_directory_, "/", name);
    const bool newer = number >= table_.next && generation == 0;
    if (newer && Segment::Open(system_, path, number, 0).ok()) {
      // Made just before the crash. It should hold no answered message, but when in doubt it stays.
      table_.next = number + 1;
      table_.segments[number] = {};
      RETURN_IF_ERROR(OpenNamed(number));
      changed = true;
    } else {
      RETURN_IF_ERROR(system_.Unlink(path));
    }
  }
  if (!changed) return absl::OkStatus();
  // Who made the file may have been killed before its name was durable.
  RETURN_IF_ERROR(system_.SyncDirectory(segments_directory_, "segment.adopted.dir"));
  return SaveTable();
}

absl::Status SegmentSet::SaveTable() {
  {
    const std::shared_lock lock(mutex_);
    for (auto& [number, entry] : table_.segments) {
      const auto at = segments_.find(number);
      if (at == segments_.end() || !at->second->sealed()) continue;
      entry.sealed = at->second->durable_end();
      entry.doubtful = at->second->doubtful();
    }
  }
  return file::ReplaceAtomically(system_, base::StrCat(directory_, "/segments.table"),
                                 EncodeTable(table_), "table");
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentSet::Add() {
  const std::lock_guard lock(table_mutex_);
  const uint64_t number = table_.next;
  if (number >> (64 - kBlobOffsetBits) != 0) return base::Exhausted("no segment number is left");
  // Burnt whatever happens, so that a half-made file never meets a second owner.
  table_.next = number + 1;
  std::random_device random;
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment,
                   Segment::Create(system_, PathOf(number, 0),
                                   {.number = number,
                                    .generation = 0,
                                    .salt = static_cast<uint32_t>(random()),
                                    .created_ms = base::WallMillis()}));
  RETURN_IF_ERROR(segment->file().Sync("segment.head"));
  RETURN_IF_ERROR(system_.SyncDirectory(segments_directory_, "segment.dir"));
  KILL_POINT("store.segment.made");
  table_.segments[number] = {};
  if (absl::Status status = SaveTable(); !status.ok()) {
    table_.segments.erase(number);
    return status;
  }
  const std::unique_lock guard(mutex_);
  segments_[number] = segment;
  return segment;
}

std::vector<std::shared_ptr<Segment>> SegmentSet::OpenOnes() {
  std::vector<std::shared_ptr<Segment>> open;
  for (std::shared_ptr<Segment>& segment : All()) {
    if (!segment->sealed()) open.push_back(std::move(segment));
  }
  return open;
}

std::shared_ptr<Segment> SegmentSet::Find(uint64_t number) {
  const std::shared_lock lock(mutex_);
  const auto at = segments_.find(number);
  return at == segments_.end() ? nullptr : at->second;
}

std::vector<std::shared_ptr<Segment>> SegmentSet::All() {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Segment>> all;
  all.reserve(segments_.size());
  for (const auto& [number, segment] : segments_) all.push_back(segment);
  return all;
}

bool SegmentSet::IsDead(uint64_t key) {
  const std::shared_lock lock(mutex_);
  const auto at = dead_.find(SegmentOf(key));
  return at != dead_.end() && at->second.contains(key);
}

void SegmentSet::AddDead(const std::vector<uint64_t>& keys) {
  const std::unique_lock lock(mutex_);
  for (const uint64_t key : keys) dead_[SegmentOf(key)].insert(key);
}

std::unordered_set<uint64_t> SegmentSet::DeadOf(uint64_t number) {
  const std::shared_lock lock(mutex_);
  const auto at = dead_.find(number);
  return at == dead_.end() ? std::unordered_set<uint64_t>() : at->second;
}

void SegmentSet::DropDead(uint64_t number) {
  const std::unique_lock lock(mutex_);
  dead_.erase(number);
}

absl::Status SegmentSet::Remove(const std::shared_ptr<Segment>& segment) {
  const std::lock_guard lock(table_mutex_);
  {
    const std::unique_lock guard(mutex_);
    segments_.erase(segment->number());
    dead_.erase(segment->number());
  }
  table_.segments.erase(segment->number());
  RETURN_IF_ERROR(SaveTable());
  KILL_POINT("store.segment.forgotten");
  return system_.Unlink(segment->path());
}

absl::Status SegmentSet::Replace(const std::shared_ptr<Segment>& fresh) {
  const std::lock_guard lock(table_mutex_);
  std::shared_ptr<Segment> old = Find(fresh->number());
  const SegmentEntry before = table_.segments[fresh->number()];
  table_.segments[fresh->number()] = {
      .generation = fresh->generation(), .sealed = fresh->durable_end(), .doubtful = 0};
  {
    const std::unique_lock guard(mutex_);
    segments_[fresh->number()] = fresh;
  }
  if (absl::Status status = SaveTable(); !status.ok()) {
    table_.segments[fresh->number()] = before;
    const std::unique_lock guard(mutex_);
    segments_[fresh->number()] = old;
    return status;
  }
  KILL_POINT("store.segment.replaced");
  return system_.Unlink(old->path());
}

void SegmentSet::NoteDamage(uint64_t segment, uint64_t offset, std::string what) {
  {
    const std::lock_guard lock(damage_mutex_);
    if (!damage_.try_emplace({segment, offset}, what).second) return;
  }
  if (on_damage_) on_damage_({segment, offset, std::move(what)});
}

std::vector<BlobDamage> SegmentSet::Damage() {
  const std::lock_guard lock(damage_mutex_);
  std::vector<BlobDamage> all;
  all.reserve(damage_.size());
  for (const auto& [place, what] : damage_) all.push_back({place.first, place.second, what});
  return all;
}

}  // namespace posthorn::store_service
