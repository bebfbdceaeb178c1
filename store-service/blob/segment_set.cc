#include "store-service/blob/segment_set.h"

#include "lib/base/strings.h"
#include "store-service/blob/segment_table.h"

namespace posthorn::store_service {

SegmentSet::SegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage)
    : system_(system),
      directory_(std::move(directory)),
      segments_directory_(directory_ + "/segments"),
      on_damage_(std::move(on_damage)) {}

std::string SegmentSet::PathOf(uint64_t number, uint32_t generation) const {
  return base::StrCat(segments_directory_, "/", SegmentName(number, generation));
}

bool SegmentSet::IsDead(uint64_t key) {
  const std::shared_lock lock(dead_mutex_);
  const auto at = dead_.find(SegmentOf(key));
  return at != dead_.end() && at->second.contains(key);
}

void SegmentSet::AddDead(const std::vector<uint64_t>& keys) {
  const std::unique_lock lock(dead_mutex_);
  for (const uint64_t key : keys) dead_[SegmentOf(key)].insert(key);
}

std::unordered_set<uint64_t> SegmentSet::DeadOf(uint64_t number) {
  const std::shared_lock lock(dead_mutex_);
  const auto at = dead_.find(number);
  return at == dead_.end() ? std::unordered_set<uint64_t>() : at->second;
}

void SegmentSet::DropDead(uint64_t number) {
  const std::unique_lock lock(dead_mutex_);
  dead_.erase(number);
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
