#include "store-service/blob/blob_marks.h"

namespace posthorn::store_service {

bool BlobMarks::IsDead(uint64_t key) {
  const std::shared_lock lock(dead_mutex_);
  const auto at = dead_.find(SegmentOf(key));
  return at != dead_.end() && at->second.contains(key);
}

void BlobMarks::AddDead(const std::vector<uint64_t>& keys) {
  const std::unique_lock lock(dead_mutex_);
  for (const uint64_t key : keys) dead_[SegmentOf(key)].insert(key);
}

std::unordered_set<uint64_t> BlobMarks::DeadOf(uint64_t number) {
  const std::shared_lock lock(dead_mutex_);
  const auto at = dead_.find(number);
  return at == dead_.end() ? std::unordered_set<uint64_t>() : at->second;
}

void BlobMarks::DropDead(uint64_t number) {
  const std::unique_lock lock(dead_mutex_);
  dead_.erase(number);
}

void BlobMarks::NoteDamage(uint64_t segment, uint64_t offset, std::string what) {
  {
    const std::lock_guard lock(damage_mutex_);
    if (!damage_.try_emplace({segment, offset}, what).second) return;
  }
  if (on_damage_) on_damage_({segment, offset, std::move(what)});
}

std::vector<BlobDamage> BlobMarks::Damage() {
  const std::lock_guard lock(damage_mutex_);
  std::vector<BlobDamage> all;
  all.reserve(damage_.size());
  for (const auto& [place, what] : damage_) all.push_back({place.first, place.second, what});
  return all;
}

}  // namespace posthorn::store_service
