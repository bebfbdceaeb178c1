#include "store-service/blob/local_segment_set.h"

#include <random>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {

absl::Status LocalSegmentSet::Load() {
  if (system_.SizeOf(directory_).status().code() == absl::StatusCode::kNotFound) {
    RETURN_IF_ERROR(system_.MakeDirectory(directory_));
    RETURN_IF_ERROR(system_.SyncDirectory(file::DirectoryOf(directory_), "store.parent.dir"));
  }
  ASSIGN_OR_RETURN(lock_, file::DirectoryLock::Take(directory_));
  if (system_.SizeOf(base::StrCat(directory_, "/writers")).ok()) {
    return base::Precondition(
        base::StrCat(directory_, " belongs to several stores: only with their --database"));
  }
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

absl::Status LocalSegmentSet::LoadTable(const std::vector<std::string>& names) {
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

absl::Status LocalSegmentSet::OpenNamed(uint64_t number) {
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

absl::Status LocalSegmentSet::Adopt(const std::vector<std::string>& names) {
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

absl::Status LocalSegmentSet::SaveTable() {
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

absl::StatusOr<std::shared_ptr<Segment>> LocalSegmentSet::Add() {
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

std::vector<std::shared_ptr<Segment>> LocalSegmentSet::OpenOnes() {
  std::vector<std::shared_ptr<Segment>> open;
  for (std::shared_ptr<Segment>& segment : All()) {
    if (!segment->sealed()) open.push_back(std::move(segment));
  }
  return open;
}

std::shared_ptr<Segment> LocalSegmentSet::Known(uint64_t number) {
  const std::shared_lock lock(mutex_);
  const auto at = segments_.find(number);
  return at == segments_.end() ? nullptr : at->second;
}

absl::StatusOr<std::shared_ptr<Segment>> LocalSegmentSet::Find(uint64_t number) {
  std::shared_ptr<Segment> segment = Known(number);
  if (segment == nullptr) return base::NotFound("no such blob");
  return segment;
}

std::vector<std::shared_ptr<Segment>> LocalSegmentSet::All() {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Segment>> all;
  all.reserve(segments_.size());
  for (const auto& [number, segment] : segments_) all.push_back(segment);
  return all;
}

std::vector<uint64_t> LocalSegmentSet::Numbers() {
  const std::shared_lock lock(mutex_);
  std::vector<uint64_t> numbers;
  numbers.reserve(segments_.size());
  for (const auto& [number, segment] : segments_) numbers.push_back(number);
  return numbers;
}

BlobStats LocalSegmentSet::Stats() {
  BlobStats stats;
  for (const std::shared_ptr<Segment>& segment : All()) {
    ++stats.segments;
    stats.bytes += segment->durable_end();
  }
  return stats;
}

absl::Status LocalSegmentSet::Remove(const std::shared_ptr<Segment>& segment) {
  const std::lock_guard lock(table_mutex_);
  {
    const std::unique_lock guard(mutex_);
    segments_.erase(segment->number());
  }
  DropDead(segment->number());
  table_.segments.erase(segment->number());
  RETURN_IF_ERROR(SaveTable());
  KILL_POINT("store.segment.forgotten");
  return system_.Unlink(segment->path());
}

absl::StatusOr<SegmentSet::Form> LocalSegmentSet::NextForm(const Segment& segment) {
  const uint32_t generation = segment.generation() + 1;
  std::string path = PathOf(segment.number(), generation);
  absl::Status unlinked = system_.Unlink(path);  // of an attempt that failed
  if (!unlinked.ok() && unlinked.code() != absl::StatusCode::kNotFound) return unlinked;
  return Form{std::move(path), generation};
}

absl::Status LocalSegmentSet::Replace(const std::shared_ptr<Segment>& fresh, const Form& /*form*/) {
  const std::lock_guard lock(table_mutex_);
  std::shared_ptr<Segment> old = Known(fresh->number());
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

}  // namespace posthorn::store_service
