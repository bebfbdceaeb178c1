#pragma once

// The event loop of one thread, and what coroutines need from it. Invariants:
//  1. Everything that belongs to a Loop is touched only by the thread in Run(), except Post().
//  2. Spawn is the only way to start a coroutine: an exception that escapes it is logged and counted, never lost.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

struct pollfd;
namespace asio {
class io_context;
}

namespace posthorn::net {

// Must outlive what was made with it: timers, signals, connections, pools. Coroutines that are still suspended when
// the loop is destroyed are destroyed with it.
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
  // Another source of events that has to be asked by the loop's thread itself, and so decides where it sleeps.
  class Source;
  // From the loop's thread or before Run; null takes the source away, also inside Source::Turn. One at a time.
  void SetSource(Source* source);
  bool HasSource() const;
  // True while a thread is in Run(). Any thread.
  bool Running() const;
  // True on the loop's own thread (before the first Run: the thread that made it).
  bool OnThread() const;

 private:
  friend struct LoopAccess;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Loop::Timer {
 public:
  virtual ~Timer() = default;
};

class Loop::Source {
 public:
  virtual ~Source() = default;
  // Handles what has happened, on the loop's thread; it may take the source away. With `sleep_on` it first waits, like
  // poll(2), for an event of its own or of those files, and fills in their revents; an empty one means: do not wait.
  virtual void Turn(std::span<pollfd> sleep_on) = 0;
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

// What BlockingPool::Run gives back for work that returns R: a Status stays a Status, StatusOr stays as it is,
// void becomes Status, anything else T becomes StatusOr<T>.
template <class R>
struct PoolResult {
  using type = absl::StatusOr<R>;
};
template <>
struct PoolResult<void> {
  using type = absl::Status;
};
template <>
struct PoolResult<absl::Status> {
  using type = absl::Status;
};
template <class T>
struct PoolResult<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};

// Threads for work that blocks (hashing, files, SQLite). The queue is bounded.
class BlockingPool {
 public:
  BlockingPool(Loop& loop, std::string_view name, int threads, size_t max_queued);
  // Finishes what runs, drops what waits: their callers get kAborted. Blocks until the threads have ended.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  // Runs `work` on a pool thread, then resumes on the loop. kResourceExhausted when the queue is full, kInternal
  // when `work` throws. `work` must own what it touches: the coroutine may be gone when it runs.
  template <class F>
  auto Run(F work) -> Task<typename PoolResult<decltype(work())>::type> {
    using R = typename PoolResult<decltype(work())>::type;
    Promise<R> promise(*loop_);
    auto reply = std::make_shared<Reply<R>>(loop_, promise);
    const bool queued = Enqueue([reply, work = std::move(work)]() mutable { Answer(*reply, work); });
    if (!queued) co_return absl::ResourceExhaustedError("blocking pool is full");
    reply.reset();
    co_return co_await promise.Get();
  }

 private:
  // Carries the result back to the loop; dropped without one, it says so.
  template <class R>
  class Reply {
   public:
    Reply(Loop* loop, Promise<R> promise) : loop_(loop), promise_(std::move(promise)) {}
    Reply(const Reply&) = delete;
    ~Reply() {
      if (promise_) Send(absl::AbortedError("dropped by the pool"));
    }
    void Send(R value) {
      auto result = std::make_shared<R>(std::move(value));
      loop_->Post([promise = *std::exchange(promise_, std::nullopt), result]() mutable {
        promise.Set(std::move(*result));
      });
    }

   private:
    Loop* loop_;
    std::optional<Promise<R>> promise_;
  };
  template <class R, class F>
  static void Answer(Reply<R>& reply, F& work) {
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        reply.Send(absl::OkStatus());
      } else {
        reply.Send(work());
      }
    } catch (...) {
      reply.Send(absl::InternalError("exception in a blocking pool"));
      Escaped();
    }
  }
  static void Escaped();  // in a catch block: logs and counts
  bool Enqueue(std::function<void()> work);
  struct Impl;
  Loop* loop_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace posthorn::net
