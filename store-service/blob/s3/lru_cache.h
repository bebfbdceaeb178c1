#pragma once

// What was read lately, within a budget of bytes. Any thread.

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace posthorn::store_service {

template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t budget) : budget_(budget) {}

  // Null when it is not here.
  std::shared_ptr<const Value> Find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find(key);
    if (at == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, at->second);
    return at->second->value;
  }
  // What alone is a quarter of the budget is not kept.
  void Put(const Key& key, std::shared_ptr<const Value> value, size_t bytes) {
    if (bytes > budget_ / 4) return;
    const std::lock_guard lock(mutex_);
    Drop(key);
    entries_.push_front({key, std::move(value), bytes});
    places_[key] = entries_.begin();
    bytes_ += bytes;
    while (bytes_ > budget_) Drop(Key(entries_.back().key));
  }
  void Erase(const Key& key) {
    const std::lock_guard lock(mutex_);
    Drop(key);
  }
  size_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Value> value;
    size_t bytes;
  };
  void Drop(const Key& key) {
    const auto at = places_.find(key);
    if (at == places_.end()) return;
    bytes_ -= at->second->bytes;
    entries_.erase(at->second);
    places_.erase(at);
  }

  const size_t budget_;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<Key, typename std::list<Entry>::iterator> places_;
  size_t bytes_ = 0;
};

}  // namespace posthorn::store_service
