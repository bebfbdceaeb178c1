#pragma once

// A circuit breaker: a companion that keeps silent is left alone for a while instead of holding up
// each message.

#include <chrono>
#include <string_view>

namespace posthorn::observe {
class Gauge;
}

namespace posthorn::spam_service {

class Breaker {
 public:
  using Clock = std::chrono::steady_clock;
  struct Rules {
    int failures = 5;                       // in a row, with no answer between
    std::chrono::milliseconds rest{30000};  // before one call is tried again
  };
  // `dependency` labels the metric: a closed set.
  Breaker(std::string_view dependency, Rules rules);
  ~Breaker();
  Breaker(const Breaker&) = delete;

  // False: do not call now. After each rest one caller is let through, to try.
  bool Allow(Clock::time_point now);
  void Succeeded();
  void Failed(Clock::time_point now);
  bool open() const { return open_; }

 private:
  void SetOpen(bool open);

  const Rules rules_;
  observe::Gauge* const gauge_;
  int failures_ = 0;
  bool open_ = false;
  Clock::time_point next_try_;
};

}  // namespace posthorn::spam_service
