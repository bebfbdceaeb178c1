#pragma once

// One timer for the deadlines of many calls: armed for the earliest, then asks who is due. A call
// that ends in time costs nothing here.

#include <chrono>
#include <functional>
#include <memory>

#include "lib/net/loop.h"

namespace posthorn::rpc {

using TimePoint = std::chrono::steady_clock::time_point;

class Deadlines {
 public:
  // `expire` ends what is due by now and returns the earliest deadline left (max(): none).
  Deadlines(net::Loop& loop, std::function<TimePoint(TimePoint now)> expire)
      : loop_(loop), expire_(std::move(expire)) {}

  void Consider(TimePoint deadline) {
    if (deadline >= armed_) return;
    armed_ = deadline;
    const auto delay =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    timer_ = loop_.After(std::max(delay, std::chrono::milliseconds(1)), [this] { Fire(); });
  }
  void Stop() { timer_.reset(); }

 private:
  void Fire() {
    armed_ = TimePoint::max();
    // `expire_` may end the owner, which must keep itself alive meanwhile.
    const TimePoint next = expire_(std::chrono::steady_clock::now());
    if (next != TimePoint::max()) Consider(next);
  }

  net::Loop& loop_;
  std::function<TimePoint(TimePoint)> expire_;
  TimePoint armed_ = TimePoint::max();
  std::unique_ptr<net::Loop::Timer> timer_;
};

}  // namespace posthorn::rpc
