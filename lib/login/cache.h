#pragma once

// Successful password logins, by keyed hash. Not thread safe.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/login/login.h"

namespace posthorn::login {

class Cache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // HMAC-SHA256 over name and password.
  using Key = std::array<uint8_t, 32>;

  explicit Cache(size_t max_entries);
  Key KeyOf(std::string_view name, std::string_view password) const;
  // Null when unknown or older than allowed.
  std::shared_ptr<const Identity> Find(const Key& key, Time now);
  void Insert(const Key& key, std::shared_ptr<const Identity> identity, Time expires);
  void DropAccount(uint64_t account);
  // `domain` in lower case.
  void DropDomain(std::string_view domain);
  void Clear() { entries_.clear(); }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const Identity> identity;
    Time expires;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      size_t value;
      __builtin_memcpy(&value, key.data(), sizeof(value));
      return value;
    }
  };
  size_t max_entries_;
  std::array<uint8_t, 32> secret_;
  std::unordered_map<Key, Entry, Hash> entries_;
};

}  // namespace posthorn::login
