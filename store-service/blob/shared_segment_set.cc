#include "store-service/blob/shared_segment_set.h"

#include <algorithm>
#include <random>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr int kMostTries = 8;

}  // namespace

SharedSegmentSet::SharedSegmentSet(file::FileSystem& system, std::string directory,
                                   OnDamage on_damage, SegmentRegistry& registry,
                                   std::string writer, SharedTimes times)
    : SegmentSet(system, std::move(directory), std::move(on_damage)),
      registry_(registry),
      writer_(std::move(writer)),
      times_(times) {}

void SharedSegmentSet::Close() {
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [number, segment] : own_) segment->Seal();
  }
  NoteSealed();
}

// What cannot be noted now is noted next time; should there be none, somebody will look where the
// segment ends.
void SharedSegmentSet::NoteSealed() {
  std::vector<std::shared_ptr<Segment>> sealed;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [number, segment] : own_) {
      if (segment->sealed()) sealed.push_back(segment);
    }
  }
  for (const std::shared_ptr<Segment>& segment : sealed) {
    absl::StatusOr<SegmentRow> row = RowOf(segment->number());
    if (row.ok()) {
      row->state = SegmentState::kSealed;
      row->sealed = segment->durable_end();
      row = registry_.Update(*row);
    }
    const absl::StatusCode code = row.status().code();
    if (!row.ok() && code != absl::StatusCode::kAborted && code != absl::StatusCode::kNotFound) {
      continue;
    }
    {
      const std::unique_lock lock(mutex_);
      own_.erase(segment->number());
    }
    if (row.ok()) Learn(*row, segment);
  }
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::Add() {
  NoteSealed();
  std::random_device random;
  for (int i = 0; i < kMostTries; ++i) {
    ASSIGN_OR_RETURN(SegmentRow row, registry_.Take(writer_));
    if (row.number >> (64 - kBlobOffsetBits) != 0) {
      return base::Exhausted("no segment number is left");
    }
    const std::string path = PathOf(row.number, 0);
    absl::StatusOr<std::shared_ptr<Segment>> made =
        Segment::Create(system_, path,
                        {.number = row.number,
                         .generation = 0,
                         .salt = static_cast<uint32_t>(random()),
                         .created_ms = base::WallMillis()});
    // The registry was restored from a backup: that file is older, and stays.
    if (made.status().code() == absl::StatusCode::kAlreadyExists) continue;
    RETURN_IF_ERROR(made.status());
    std::shared_ptr<Segment> segment = *std::move(made);
    RETURN_IF_ERROR(segment->file().Sync("segment.head"));
    RETURN_IF_ERROR(system_.SyncDirectory(segments_directory_, "segment.dir"));
    KILL_POINT("store.segment.made");
    row.state = SegmentState::kOpen;
    absl::StatusOr<SegmentRow> open = registry_.Update(row);
    if (absl::IsAborted(open.status())) return base::Unavailable(base::Message(open.status()));
    ASSIGN_OR_RETURN(row, std::move(open));
    segment->set_fence([this, path]() -> absl::Status {
      if (system_.SizeOf(path).ok()) return absl::OkStatus();
      return base::Unavailable("the segment was taken over: this store was thought dead");
    });
    const std::unique_lock lock(mutex_);
    own_[row.number] = segment;
    known_[row.number] = {row, segment};
    return segment;
  }
  return base::Unavailable("the registry gives numbers whose files exist already");
}

std::shared_ptr<Segment> SharedSegmentSet::Own(uint64_t number) {
  const std::shared_lock lock(mutex_);
  const auto at = own_.find(number);
  return at == own_.end() ? nullptr : at->second;
}

absl::StatusOr<SegmentRow> SharedSegmentSet::RowOf(uint64_t number) {
  const std::shared_lock lock(mutex_);
  const auto at = known_.find(number);
  if (at == known_.end()) return base::NotFound("no such segment");
  return at->second.row;
}

void SharedSegmentSet::Learn(const SegmentRow& row, std::shared_ptr<Segment> segment) {
  const std::unique_lock lock(mutex_);
  const auto [at, fresh] = known_.try_emplace(row.number);
  if (!fresh && at->second.row.version > row.version) return;
  at->second = {row, std::move(segment)};
}

void SharedSegmentSet::Forget(uint64_t number) {
  const std::unique_lock lock(mutex_);
  known_.erase(number);
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::OpenAs(const SegmentRow& row,
                                                                  uint32_t generation) {
  const std::string path = PathOf(row.number, generation);
  if (row.state != SegmentState::kSealed) return Segment::OpenOthers(system_, path, row.number);
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment,
                   Segment::Open(system_, path, row.number, row.sealed));
  segment->set_doubtful(row.doubtful);
  return segment;
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::OpenForm(const SegmentRow& row) {
  absl::StatusOr<std::shared_ptr<Segment>> opened = OpenAs(row, row.generation);
  // Somebody is seizing it, or died at it: the new name comes before the row.
  for (uint32_t name = row.reserved; absl::IsNotFound(opened.status()) && name > row.generation;
       --name) {
    if (row.state == SegmentState::kOpen) opened = OpenAs(row, name);
  }
  return opened;
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::Open(uint64_t number) {
  ASSIGN_OR_RETURN(SegmentRow row, registry_.Find(number));
  absl::StatusOr<std::shared_ptr<Segment>> opened = OpenForm(row);
  for (int i = 0; i < kMostTries && absl::IsNotFound(opened.status()); ++i) {
    ASSIGN_OR_RETURN(const SegmentRow now, registry_.Find(number));
    if (now.version == row.version) break;
    row = now;
    opened = OpenForm(row);
  }
  if (opened.ok()) {
    Learn(row, *opened);
    return opened;
  }
  const absl::StatusCode code = opened.status().code();
  const bool nothing_there =
      row.state == SegmentState::kTaken || row.state == SegmentState::kRemoved;
  if (nothing_there && code == absl::StatusCode::kNotFound) return base::NotFound("no such blob");
  if (code != absl::StatusCode::kNotFound && code != absl::StatusCode::kDataLoss) return opened;
  NoteDamage(number, 0, std::string(base::Message(opened.status())));
  return base::DataLoss(base::Message(opened.status()));
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::Find(uint64_t number) {
  {
    const std::shared_lock lock(mutex_);
    const auto at = known_.find(number);
    if (at != known_.end() && at->second.segment != nullptr) return at->second.segment;
  }
  return Open(number);
}

absl::StatusOr<bool> SharedSegmentSet::Renew(uint64_t number) {
  if (Own(number) != nullptr) return false;
  const absl::StatusOr<SegmentRow> row = registry_.Find(number);
  if (absl::IsNotFound(row.status())) Forget(number);
  RETURN_IF_ERROR(row.status());
  {
    const std::shared_lock lock(mutex_);
    const auto at = known_.find(number);
    // What is sealed does not grow.
    if (at != known_.end() && at->second.segment != nullptr &&
        at->second.row.version == row->version && row->state == SegmentState::kSealed) {
      return false;
    }
  }
  RETURN_IF_ERROR(Open(number).status());
  return true;
}

absl::Status SharedSegmentSet::Refresh() {
  ASSIGN_OR_RETURN(const std::vector<SegmentRow> rows, registry_.List());
  const std::unique_lock lock(mutex_);
  std::map<uint64_t, Known> fresh;
  for (const SegmentRow& row : rows) {
    const auto at = known_.find(row.number);
    const bool same = at != known_.end() && at->second.row.version >= row.version;
    const bool mine = own_.contains(row.number);
    fresh[row.number] = same || mine ? at->second : Known{row, nullptr};
  }
  known_ = std::move(fresh);
  return absl::OkStatus();
}

std::vector<uint64_t> SharedSegmentSet::Numbers() {
  const std::shared_lock lock(mutex_);
  std::vector<uint64_t> numbers;
  for (const auto& [number, known] : known_) {
    const SegmentState state = known.row.state;
    if (state != SegmentState::kTaken && state != SegmentState::kRemoved) numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::shared_ptr<Segment>> SharedSegmentSet::FindWhole(uint64_t number) {
  if (std::shared_ptr<Segment> own = Own(number); own != nullptr) return own;
  ASSIGN_OR_RETURN(const SegmentRow row, registry_.Find(number));
  if (row.state == SegmentState::kSealed) {
    RETURN_IF_ERROR(Renew(number).status());
    return Find(number);
  }
  // For this walk alone: the readers' goes on to see what comes.
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, OpenForm(row));
  RETURN_IF_ERROR(segment->Examine([&](const Found& found) {
    NoteDamage(number, found.offset, base::StrCat("no record; skipped to ", found.resumed));
  }));
  return segment;
}

BlobStats SharedSegmentSet::Stats() {
  BlobStats stats;
  const std::shared_lock lock(mutex_);
  for (const auto& [number, known] : known_) {
    const bool sealed = known.row.state == SegmentState::kSealed;
    ++stats.segments;
    if (sealed || known.segment != nullptr) {
      stats.bytes += sealed ? known.row.sealed : known.segment->durable_end();
    }
  }
  return stats;
}

}  // namespace posthorn::store_service
