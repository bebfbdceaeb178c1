#pragma once

// Wall time is for people, monotonic time is for deadlines.

#include <chrono>
#include <cstdint>

namespace posthorn::base {

inline int64_t WallMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}
inline int64_t WallSeconds() { return WallMillis() / 1000; }
inline int64_t MonotonicMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace posthorn::base
