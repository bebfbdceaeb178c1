#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace posthorn::delivery_queue {

// When to try again. Pure.
struct RetrySchedule {
  std::vector<uint64_t> waits_seconds = {300, 600, 1800, 3600, 7200, 14400};
  uint64_t lifetime_seconds = 5ULL * 86400;
  uint64_t delay_notice_seconds = 4ULL * 3600;  // 0: senders are not told of delays

  // Milliseconds since 1970 of the attempt after `attempts` failed ones; the last wait repeats. Up to 10 % is added,
  // spread by `salt`, so that mail deferred together does not come back together.
  int64_t Next(uint32_t attempts, int64_t now_ms, uint64_t salt) const {
    if (waits_seconds.empty()) return now_ms + 300000;
    const size_t step = std::min<size_t>(attempts == 0 ? 0 : attempts - 1, waits_seconds.size() - 1);
    const auto wait = static_cast<int64_t>(waits_seconds[step] * 1000);
    return now_ms + wait + (wait / 10 == 0 ? 0 : static_cast<int64_t>(salt % static_cast<uint64_t>(wait / 10)));
  }
  int64_t ExpiresAt(int64_t received_ms) const {
    return received_ms + static_cast<int64_t>(lifetime_seconds * 1000);
  }
  // When its sender is to be told that a message is late; nothing: never, or it is returned before that.
  std::optional<int64_t> NoticeAt(int64_t received_ms) const {
    if (delay_notice_seconds == 0 || delay_notice_seconds >= lifetime_seconds) return {};
    return received_ms + static_cast<int64_t>(delay_notice_seconds * 1000);
  }
  // True when a message received at `received_ms` is to be returned instead of tried again.
  bool Expired(int64_t received_ms, int64_t now_ms) const {
    return now_ms >= ExpiresAt(received_ms);
  }
};

}  // namespace posthorn::delivery_queue
