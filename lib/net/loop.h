#pragma once

// The event loop of one thread, and what coroutines need from it. Invariants:
//  1. Everything that belongs to a Loop is touched only by the thread in Run(), except Post().
//  2. Spawn is the only way to start a coroutine: an exception that escapes it is logged and counted, never lost.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace asio {
class io_context;
}

namespace posthorn::net {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  asio::io_context& context();
  // Runs until Stop(); the caller's thread becomes the loop's thread.
  void Run();
  // Any thread. Run() returns after the handler that is running.
  void Stop();
  // Any thread. `work` runs on the loop's thread, in order of posting.
  void Post(std::function<void()> work);
  // Runs `work` once, when the present turn of the loop has handled all that is ready (natural batching).
  void AtTurnEnd(std::function<void()> work);
  // Starts a coroutine. `name` is for logs and must be a literal.
  void Spawn(std::string_view name, Task<void> task);
  // One-shot timer; the handle cancels when destroyed.
  class Timer;
  std::unique_ptr<Timer> After(std::chrono::milliseconds delay, std::function<void()> work);
  // True on the loop's own thread.
  bool OnThread() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Loop::Timer {
 public:
  virtual ~Timer() = default;
};

// Suspends the calling coroutine.
Task<void> Sleep(Loop& loop, std::chrono::milliseconds delay);

// A place where coroutines of one Loop wait until it is notified. Not thread safe: notify from the loop
// (use Loop::Post from elsewhere). Cheap: no allocation while nobody waits.
class Signal {
 public:
  explicit Signal(Loop& loop);
  ~Signal();  // wakes all waiters
  Signal(const Signal&) = delete;
  // Until the next NotifyAll. Spurious wake-ups are possible: wait in a loop on your condition.
  Task<void> Wait();
  // As Wait; false when `limit` passed first.
  Task<bool> WaitFor(std::chrono::milliseconds limit);
  void NotifyAll();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// A value that arrives once, awaited by one coroutine. Set() from the loop's thread.
template <class T>
class Promise {
 public:
  explicit Promise(Loop& loop) : signal_(std::make_shared<State>(loop)) {}
  void Set(T value) {
    if (signal_->value) return;
    signal_->value.emplace(std::move(value));
    signal_->signal.NotifyAll();
  }
  bool ready() const { return signal_->value.has_value(); }
  Task<T> Get() {
    auto state = signal_;
    while (!state->value) co_await state->signal.Wait();
    co_return std::move(*state->value);
  }

 private:
  struct State {
    explicit State(Loop& loop) : signal(loop) {}
    Signal signal;
    std::optional<T> value;
  };
  std::shared_ptr<State> signal_;
};

// Threads for work that blocks (hashing, files, SQLite). The queue is bounded.
class BlockingPool {
 public:
  BlockingPool(Loop& loop, std::string_view name, int threads, size_t max_queued);
  ~BlockingPool();  // finishes what runs, drops what waits
  // Runs `work` on a pool thread, then resumes on the loop. kResourceExhausted when the queue is full.
  // `work` must own what it touches: the coroutine may be gone when it runs.
  template <class F>
  auto Run(F work) -> Task<absl::StatusOr<decltype(work())>> {
    using R = decltype(work());
    Promise<absl::StatusOr<R>> promise(*loop_);
    const bool queued = Enqueue([promise, work = std::move(work), loop = loop_]() mutable {
      auto result = std::make_shared<absl::StatusOr<R>>(work());
      loop->Post([promise, result]() mutable { promise.Set(std::move(*result)); });
    });
    if (!queued) co_return absl::ResourceExhaustedError("blocking pool is full");
    co_return co_await promise.Get();
  }

 private:
  bool Enqueue(std::function<void()> work);
  struct Impl;
  Loop* loop_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace posthorn::net
