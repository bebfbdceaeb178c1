#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "store-service/database/rows.h"

namespace posthorn::store_service {

// The deliveries of the last while in the lanes that are ours, so that the first attempt of a new
// message needs no look-up: what is not in here and was made after the lane became ours (or after
// the oldest that was dropped) was not delivered before. A gateway's clock may be ahead of ours;
// then the unique key of the delivery id refuses the second copy, and the operation runs again with
// a look-up.
class DeliveryMemory {
 public:
  explicit DeliveryMemory(size_t most) : most_(most) { complete_since_ms_.fill(kNever); }

  const DeliveryRow* Find(const DeliveryKey& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : &found->second;
  }
  // False: the database must be asked.
  bool Complete(const DeliveryKey& key) const {
    return key.message_id.millis() > complete_since_ms_[base::LaneOf(key.account)];
  }
  void Put(const DeliveryRow& row) {
    if (rows_.insert_or_assign(row.key, row).second) order_.push_back(row.key);
    while (order_.size() > most_) {
      for (int64_t& since : complete_since_ms_)
        since = std::max(since, order_.front().message_id.millis());
      rows_.erase(order_.front());
      order_.pop_front();
    }
  }
  // The batch it was in failed.
  void Forget(const DeliveryKey& key) { rows_.erase(key); }

  void Take(uint32_t lane, int64_t now_ms) { complete_since_ms_[lane] = now_ms; }
  void Lose(uint32_t lane) {
    complete_since_ms_[lane] = kNever;
    std::erase_if(rows_,
                  [lane](const auto& row) { return base::LaneOf(row.first.account) == lane; });
    std::erase_if(order_, [lane](const auto& key) { return base::LaneOf(key.account) == lane; });
  }

 private:
  struct Hash {
    // Message ids are random; a message's copies for many accounts must not meet in one bucket.
    size_t operator()(const DeliveryKey& key) const {
      const size_t id = std::hash<std::string_view>()(key.message_id.bytes());
      return id ^ (key.account * 0x9e3779b97f4a7c15U + key.copy);
    }
  };

  static constexpr int64_t kNever = INT64_MAX;
  std::array<int64_t, base::kLanes> complete_since_ms_{};
  const size_t most_;
  std::unordered_map<DeliveryKey, DeliveryRow, Hash> rows_;
  std::deque<DeliveryKey> order_;
};

}  // namespace posthorn::store_service
