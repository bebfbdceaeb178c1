#pragma once

// KILL_POINT("name"): in builds with POSTHORN_TEST_HOOKS the process kills itself (SIGKILL, nothing
// is flushed) at the n-th passing of the point that POSTHORN_KILL_AT=name[:n] names; otherwise it
// is nothing at all.

#if defined(POSTHORN_TEST_HOOKS)
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace posthorn::base::internal {

inline void PassKillPoint(std::string_view name) {
  static const std::string_view kWanted = [] {
    const char* wanted = std::getenv("POSTHORN_KILL_AT");
    return wanted == nullptr ? std::string_view() : std::string_view(wanted);
  }();
  static const size_t kColon = kWanted.rfind(':');
  if (kWanted.empty() || kWanted.substr(0, kColon) != name) return;
  static std::atomic<long> left =
      kColon == std::string_view::npos ? 1 : std::atol(kWanted.data() + kColon + 1);
  if (--left == 0) std::raise(SIGKILL);
}

}  // namespace posthorn::base::internal
#define KILL_POINT(name) ::posthorn::base::internal::PassKillPoint(name)
#else
#define KILL_POINT(name) static_cast<void>(0)
#endif
