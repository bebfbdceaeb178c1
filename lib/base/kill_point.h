#pragma once

// KILL_POINT("name"): the process kills itself (SIGKILL, nothing is flushed) at the n-th passing of
// the point that POSTHORN_KILL_AT=name[:n] names in its environment. In every build, so that what
// is tested is what is installed; without the variable a point costs one look at a constant.

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace posthorn::base::internal {

// What the environment said when the process started; read once.
struct KillAt {
  KillAt() {
    const char* wanted = std::getenv("POSTHORN_KILL_AT");
    if (wanted == nullptr) return;
    name = wanted;
    const size_t colon = name.rfind(':');
    if (colon == std::string_view::npos) return;
    left = std::atol(name.data() + colon + 1);
    name = name.substr(0, colon);
  }
  std::string_view name;
  std::atomic<long> left{1};
};
inline KillAt kill_at;

inline void PassKillPoint(std::string_view name) {
  if (kill_at.name.empty() || kill_at.name != name) [[likely]]
    return;
  if (--kill_at.left == 0) std::raise(SIGKILL);
}

}  // namespace posthorn::base::internal
#define KILL_POINT(name) ::posthorn::base::internal::PassKillPoint(name)
