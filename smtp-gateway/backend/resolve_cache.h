#pragma once

// Answers of Directory.Resolve, kept for a minute. Only good news is kept: 550 5.1.1 needs a look-up that no cache
// answered (deep-structures 10), and fullness is at most 10 s old. Dropped by the directory's invalidations.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::smtp_gateway {

class ResolveCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Resolution = std::shared_ptr<const store::v1::ResolveReply>;
  static constexpr size_t kMaxEntries = 20000;
  static constexpr std::chrono::seconds kKept{60};
  static constexpr std::chrono::seconds kQuotaKept{10};

  Resolution Find(std::string_view address, Time now) {
    const auto found = entries_.find(std::string(address));
    if (found == entries_.end()) return nullptr;
    if (found->second.until > now) return found->second.resolution;
    entries_.erase(found);
    return nullptr;
  }
  void Insert(std::string address, Resolution resolution, Time now) {
    using store::v1::ResolveReply;
    const ResolveReply::Kind kind = resolution->kind();
    if (kind != ResolveReply::ACCOUNT && kind != ResolveReply::ALIAS && kind != ResolveReply::LIST &&
        kind != ResolveReply::REMOTE)
      return;
    if (resolution->over_quota()) return;
    if (entries_.size() >= kMaxEntries) entries_.clear();
    const bool limited = kind == ResolveReply::ACCOUNT && resolution->quota() > 0;
    entries_[std::move(address)] = {std::move(resolution), now + (limited ? kQuotaKept : kKept)};
  }
  // Any change may touch any address (aliases, catch-alls, domains): changes are rare, look-ups cheap.
  void Clear() { entries_.clear(); }

 private:
  struct Entry {
    Resolution resolution;
    Time until;
  };
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace posthorn::smtp_gateway
