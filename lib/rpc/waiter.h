#pragma once

// Where one coroutine waits for lib/rpc to do something: cheaper than net::Signal (no state of its
// own, resumed directly by the completion that it waited for).

#include <asio/async_result.hpp>
#include <asio/use_awaitable.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::rpc {

class Waiter {
 public:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  bool waiting() const { return handler_.has_value(); }
  // Until woken. Check the condition before and after.
  net::Task<void> Wait() {
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](Handler handler) { handler_.emplace(std::move(handler)); }, asio::use_awaitable);
  }
  std::optional<Handler> Take() { return std::exchange(handler_, std::nullopt); }

 private:
  std::optional<Handler> handler_;
};

// Coroutines to resume once the state they will look at is whole: resuming one may destroy
// anything.
class Ready {
 public:
  void Add(Waiter& waiter) {
    if (waiter.waiting()) handlers_.push_back(*waiter.Take());
  }
  // Resumes here and now; from the loop's own callbacks only, never below a coroutine's frame.
  void ResumeAll() {
    for (size_t i = 0; i < handlers_.size(); ++i) std::move(handlers_[i])();
    handlers_.clear();
  }
  // Resumes in a later turn; from anywhere on the loop's thread.
  void PostAll(net::Loop& loop) {
    if (handlers_.empty()) return;
    auto ready = std::make_shared<Ready>(std::move(*this));
    loop.Post([ready] { ready->ResumeAll(); });
    handlers_.clear();
  }

 private:
  std::vector<Waiter::Handler> handlers_;
};

}  // namespace posthorn::rpc
