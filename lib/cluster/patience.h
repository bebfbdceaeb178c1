#pragma once

#include <chrono>
#include <optional>

namespace posthorn::cluster {

// How long calls wait for somebody to take them: a restart is not worth a refusal, but while nobody
// is there for longer each call is told so at once. One thread.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  // Between two tries of a call.
  static constexpr std::chrono::milliseconds kPause{50};

  explicit Patience(std::chrono::milliseconds limit) : limit_(limit) {}
  // Nobody took a call: true when that is its last word.
  bool Over(Clock::time_point deadline) {
    const Clock::time_point now = Clock::now();
    if (!since_) since_ = now;
    return now + kPause >= deadline || now - *since_ >= limit_;
  }
  // Somebody took one, whatever became of it.
  void Taken() { since_.reset(); }

 private:
  const std::chrono::milliseconds limit_;
  // Of the first call that nobody took; none was taken since.
  std::optional<Clock::time_point> since_;
};

}  // namespace posthorn::cluster
