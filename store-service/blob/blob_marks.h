#pragma once

// What a store remembers about keys while it runs: which were declared dead, and which places are
// damaged. Any thread.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store-service/blob/blob_store.h"

namespace posthorn::store_service {

class BlobMarks {
 public:
  // Called once for each damaged place, on the thread that met it.
  using OnDamage = std::function<void(const BlobDamage&)>;

  explicit BlobMarks(OnDamage on_damage) : on_damage_(std::move(on_damage)) {}
  virtual ~BlobMarks() = default;
  BlobMarks(const BlobMarks&) = delete;
  BlobMarks& operator=(const BlobMarks&) = delete;

  bool IsDead(uint64_t key);
  void AddDead(const std::vector<uint64_t>& keys);
  // All keys of `segment` that were declared dead.
  std::unordered_set<uint64_t> DeadOf(uint64_t segment);
  void DropDead(uint64_t segment);

  void NoteDamage(uint64_t segment, uint64_t offset, std::string what);
  std::vector<BlobDamage> Damage();

 private:
  const OnDamage on_damage_;
  std::shared_mutex dead_mutex_;
  std::map<uint64_t, std::unordered_set<uint64_t>> dead_;
  std::mutex damage_mutex_;
  std::map<std::pair<uint64_t, uint64_t>, std::string> damage_;
};

}  // namespace posthorn::store_service
