#include "store-service/blob/segment_registry.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {
absl::Status Lost(uint64_t number) {
  return base::Aborted(base::StrCat("segment ", number, " was changed by somebody else"));
}
}  // namespace

absl::StatusOr<SegmentRow> MemorySegmentRegistry::Take(const std::string& writer) {
  const std::lock_guard lock(mutex_);
  SegmentRow row;
  row.number = next_++;
  row.writer = writer;
  row.changed_ms = base::WallMillis();
  rows_[row.number] = row;
  Changed(rows_, next_, identity_);
  return row;
}

absl::StatusOr<SegmentRow> MemorySegmentRegistry::Find(uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto at = rows_.find(number);
  if (at == rows_.end()) return base::NotFound("no such segment");
  return at->second;
}

absl::StatusOr<std::vector<SegmentRow>> MemorySegmentRegistry::List() {
  const std::lock_guard lock(mutex_);
  std::vector<SegmentRow> all;
  for (const auto& [number, row] : rows_) all.push_back(row);
  return all;
}

absl::StatusOr<SegmentRow> MemorySegmentRegistry::Update(SegmentRow row) {
  const std::lock_guard lock(mutex_);
  const auto at = rows_.find(row.number);
  if (at == rows_.end() || at->second.version != row.version) return Lost(row.number);
  ++row.version;
  row.changed_ms = base::WallMillis();
  at->second = row;
  Changed(rows_, next_, identity_);
  return row;
}

absl::Status MemorySegmentRegistry::Remove(const SegmentRow& row) {
  const std::lock_guard lock(mutex_);
  const auto at = rows_.find(row.number);
  if (at == rows_.end() || at->second.version != row.version) return Lost(row.number);
  rows_.erase(at);
  Changed(rows_, next_, identity_);
  return absl::OkStatus();
}

absl::Status MemorySegmentRegistry::Import(const std::vector<SegmentRow>& rows, uint64_t next) {
  const std::lock_guard lock(mutex_);
  std::map<uint64_t, SegmentRow> merged = rows_;
  for (const SegmentRow& row : rows) merged.try_emplace(row.number, row);
  for (const auto& [number, row] : rows_) {
    const auto same = [&](const SegmentRow& other) { return other.number == number; };
    if (number < next && std::none_of(rows.begin(), rows.end(), same)) {
      return base::Precondition(base::StrCat("segment ", number, " is another folder's"));
    }
  }
  rows_ = std::move(merged);
  next_ = std::max(next_, next);
  Changed(rows_, next_, identity_);
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemorySegmentRegistry::Identity(const std::string& proposed) {
  const std::lock_guard lock(mutex_);
  if (identity_.empty()) identity_ = proposed;
  Changed(rows_, next_, identity_);
  return identity_;
}

}  // namespace posthorn::store_service
