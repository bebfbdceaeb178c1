#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "store-service/database/rows.h"

namespace posthorn::store_service {

// The deliveries of the last while, so that the first attempt of a new message needs no look-up:
// what is not in here and was made after `complete_since` was not delivered before. A gateway's
// clock may be ahead of ours; then the unique key of the delivery id refuses the second copy, and
// the operation runs again with a look-up.
class DeliveryMemory {
 public:
  DeliveryMemory(int64_t complete_since_ms, size_t most)
      : complete_since_ms_(complete_since_ms), most_(most) {}

  const DeliveryRow* Find(const DeliveryKey& key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : &found->second;
  }
  // False: the database must be asked.
  bool Complete(const DeliveryKey& key) const {
    return key.message_id.millis() > complete_since_ms_;
  }
  void Put(const DeliveryRow& row) {
    if (rows_.insert_or_assign(row.key, row).second) order_.push_back(row.key);
    while (order_.size() > most_) {
      complete_since_ms_ = std::max(complete_since_ms_, order_.front().message_id.millis());
      rows_.erase(order_.front());
      order_.pop_front();
    }
  }
  // The batch it was in failed.
  void Forget(const DeliveryKey& key) { rows_.erase(key); }

 private:
  struct Hash {
    // Message ids are random; a message's copies for many accounts must not meet in one bucket.
    size_t operator()(const DeliveryKey& key) const {
      const size_t id = std::hash<std::string_view>()(key.message_id.bytes());
      return id ^ (key.account * 0x9e3779b97f4a7c15U + key.copy);
    }
  };

  int64_t complete_since_ms_;
  const size_t most_;
  std::unordered_map<DeliveryKey, DeliveryRow, Hash> rows_;
  std::deque<DeliveryKey> order_;
};

}  // namespace posthorn::store_service
