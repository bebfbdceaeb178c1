#pragma once

// Inside of Loop, for the other .cc files of lib/net only.

#include <asio/awaitable.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/net/loop.h"

namespace posthorn::net::internal {

// A doubly linked list whose links live in the elements: parking a coroutine allocates nothing.
struct Link {
  Link() : next(this), previous(this) {}
  Link(const Link&) = delete;
  ~Link() { Unlink(); }
  bool linked() const { return next != this; }
  void Unlink() {
    next->previous = previous;
    previous->next = next;
    next = previous = this;
  }
  void PushBack(Link& element) {
    element.previous = previous;
    element.next = this;
    previous->next = &element;
    previous = &element;
  }
  Link* next;
  Link* previous;
};

// A suspended coroutine. Lives in that coroutine's frame, in the list of what it waits for and in
// the list of all suspended coroutines of the loop (so that a loop that ends can destroy their
// frames).
class Waiter {
 public:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
  void Park(Handler handler, Link& where, Link& parked);
  // Posts the resumption; never runs the coroutine inline. Nothing when it was woken before.
  void Wake();
  // Destroys the coroutine instead of resuming it.
  void Drop();
  bool timed_out = false;

  // The links are bases of known place so that a list can be walked back to its waiters.
  struct SignalLink : Link {
    Waiter* owner = nullptr;
  } in_signal;
  struct LoopLink : Link {
    Waiter* owner = nullptr;
  } in_loop;

 private:
  std::optional<Handler> handler_;
};

// Logs and counts what escaped from `name`; `failure` may be empty.
void ReportEscaped(std::string_view name, const std::exception_ptr& failure);
// Runs `work`; an exception is reported, not passed on.
void RunGuarded(std::string_view name, const std::function<void()>& work);

}  // namespace posthorn::net::internal

namespace posthorn::net {

struct Loop::Impl {
  Impl();
  ~Impl();
  // False when there was nothing.
  bool RunPosted();
  void RunTurnEnd();
  // Handlers that are ready, at most a bounded number, so that AtTurnEnd cannot be starved. True:
  // none is left.
  bool RunReady();
  // Until anything happens: at asio's files, at the source, a Post or a Stop.
  void Sleep();
  void TurnSource(std::span<pollfd> sleep_on);
  // Any thread.
  void Wake();

  internal::Link parked;  // Waiter::in_loop
  std::vector<std::function<void()>> turn_end;
  Loop::Source* source = nullptr;
  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // guarded by mutex
  std::atomic<bool> has_posted = false;
  // Who makes it false again has to write to wake_fd.
  std::atomic<bool> asleep = false;
  int wake_fd;
  std::atomic<bool> stopping = false;
  std::atomic<bool> running = false;
  asio::io_context context;  // after what its handlers touch when they are destroyed
  asio::executor_work_guard<asio::io_context::executor_type> keep_alive;
  std::atomic<std::thread::id> thread;
};

// For the rest of lib/net.
struct LoopAccess {
  static Loop::Impl& impl(Loop& loop) { return *loop.impl_; }
};

}  // namespace posthorn::net
