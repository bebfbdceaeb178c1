#include "lib/net/loop.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "lib/observe/metrics.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;

TEST(Loop, PostRunsInOrderOnTheLoopsThread) {
  Loop loop;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.Post([&seen, i] { seen.push_back(i); });
    loop.Post([&loop] { loop.Stop(); });
  });
  loop.Run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(Loop, StopBeforeRunMakesRunReturn) {
  Loop loop;
  loop.Stop();
  loop.Run();
  loop.Post([&loop] { loop.Stop(); });
  loop.Run();
}

TEST(Loop, TurnEndComesAfterAllThatIsReady) {
  Loop loop;
  std::string order;
  loop.Post([&] {
    loop.AtTurnEnd([&] {
      order += "end";
      loop.Stop();
    });
    order += "a";
    loop.Post([&] {
      order += "b";
      loop.Post([&] { order += "c"; });
    });
  });
  loop.Run();
  EXPECT_EQ(order, "abcend");
}

TEST(Loop, TurnEndIsNotStarvedByWorkThatNeverEnds) {
  Loop loop;
  std::function<void()> again = [&] { loop.Post(again); };
  loop.Post(again);
  loop.AtTurnEnd([&] { loop.Stop(); });
  loop.Run();
}

// Sleeps on the loop's files alone, and counts.
class PollingSource : public Loop::Source {
 public:
  void Turn(std::span<pollfd> sleep_on) override {
    ++(sleep_on.empty() ? looks : sleeps);
    if (!sleep_on.empty()) poll(sleep_on.data(), sleep_on.size(), -1);
    if (on_turn) on_turn();
  }
  int looks = 0;
  int sleeps = 0;
  std::function<void()> on_turn;
};

TEST(Loop, SleepsInItsSourceAndIsWokenByPostsTimersAndStop) {
  Loop loop;
  PollingSource source;
  loop.SetSource(&source);
  std::atomic<int> seen = 0;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      loop.Post([&seen] { ++seen; });
      while (seen <= i) std::this_thread::yield();
    }
    loop.Stop();
  });
  loop.Run();
  other.join();
  EXPECT_EQ(seen, 1000);
  const auto timer = loop.After(milliseconds(1), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_GT(source.sleeps, 0);
}

// Looks whether anything is ready though nothing happened, ten times at most.
class LookingSource : public Loop::Source {
 public:
  explicit LookingSource(Loop& loop) : loop_(loop) {}
  void Turn(std::span<pollfd> sleep_on) override {
    if (sleep_on.empty()) return;
    ready = poll(sleep_on.data(), sleep_on.size(), 0);
    if (ready == 0 || ++turns_ == 10) loop_.Stop();
  }
  int ready = -1;

 private:
  Loop& loop_;
  int turns_ = 0;
};

// The command line waits for an answer without a timer or a socket of asio's.
TEST(Loop, SleepsThoughNothingHasUsedAsio) {
  Loop loop;
  LookingSource source(loop);
  loop.SetSource(&source);
  loop.Run();
  EXPECT_EQ(source.ready, 0);
}

TEST(Loop, BusyLoopAsksItsSourceNevertheless) {
  Loop loop;
  PollingSource source;
  source.on_turn = [&] { loop.Stop(); };
  loop.SetSource(&source);
  std::function<void()> again = [&] { loop.AtTurnEnd(again); };
  loop.AtTurnEnd(again);
  loop.Run();
  EXPECT_EQ(source.looks, 1);
}

TEST(Loop, SourceMayGoAwayInItsTurn) {
  Loop loop;
  auto source = std::make_unique<PollingSource>();
  source->on_turn = [&] {
    loop.SetSource(nullptr);
    loop.Post([&] { source.reset(); });
  };
  loop.SetSource(source.get());
  const auto timer = loop.After(milliseconds(1), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(source, nullptr);
}

Task<void> Throws() {
  throw std::runtime_error("boom");
  co_return;
}

TEST(Loop, EscapedExceptionsAreCountedAndTheLoopGoesOn) {
  Loop loop;
  auto* counter = observe::NewCounter("posthorn_net_exceptions_total",
                                      "exceptions that escaped a coroutine or a callback");
  const double before = counter->value();
  loop.Spawn("throws", Throws());
  loop.Post([] { throw 1; });
  const auto timer = loop.After(milliseconds(1), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(counter->value(), before + 2);
}

TEST(Loop, TimerDoesNotFireWhenItsHandleIsGone) {
  Loop loop;
  bool fired = false;
  auto dropped = loop.After(milliseconds(1), [&] { fired = true; });
  dropped.reset();
  const auto stop = loop.After(milliseconds(10), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_FALSE(fired);
}

Task<void> CountWake(Signal* signal, int* woken) {
  co_await signal->Wait();
  ++*woken;
}

TEST(Signal, NotifyWakesAllWaitersButNotInline) {
  Loop loop;
  Signal signal(loop);
  int woken = 0;
  int woken_inline = -1;
  for (int i = 0; i < 5; ++i) loop.Spawn("wait", CountWake(&signal, &woken));
  const auto notify = loop.After(milliseconds(1), [&] {
    signal.NotifyAll();
    woken_inline = woken;
    loop.AtTurnEnd([&] { loop.Stop(); });
  });
  loop.Run();
  EXPECT_EQ(woken_inline, 0);
  EXPECT_EQ(woken, 5);
}

TEST(Signal, DestructionWakesWaiters) {
  Loop loop;
  auto signal = std::make_unique<Signal>(loop);
  int woken = 0;
  loop.Spawn("wait", CountWake(signal.get(), &woken));
  const auto destroy = loop.After(milliseconds(1), [&] {
    signal.reset();
    loop.AtTurnEnd([&] { loop.Stop(); });
  });
  loop.Run();
  EXPECT_EQ(woken, 1);
}

Task<void> WaitTwice(Loop* loop, Signal* signal, std::string* seen) {
  *seen += co_await signal->WaitFor(milliseconds(1)) ? "notified " : "late ";
  *seen += co_await signal->WaitFor(milliseconds(60000)) ? "notified" : "late";
  loop->Stop();
}

TEST(Signal, WaitForTellsNotificationFromTimeout) {
  Loop loop;
  Signal signal(loop);
  std::string seen;
  loop.Spawn("wait", WaitTwice(&loop, &signal, &seen));
  const auto notify = loop.After(milliseconds(30), [&] { signal.NotifyAll(); });
  loop.Run();
  EXPECT_EQ(seen, "late notified");
}

struct OnDestruction {
  bool* flag;
  ~OnDestruction() { *flag = true; }
};

Task<void> WaitForEver(std::shared_ptr<Signal> signal, bool* destroyed) {
  const OnDestruction guard{destroyed};
  while (true) co_await signal->Wait();
}

TEST(Loop, DestructionDestroysSuspendedCoroutines) {
  bool destroyed = false;
  {
    Loop loop;
    loop.Spawn("wait", WaitForEver(std::make_shared<Signal>(loop), &destroyed));
    loop.AtTurnEnd([&] { loop.Stop(); });
    loop.Run();
    EXPECT_FALSE(destroyed);
  }
  EXPECT_TRUE(destroyed);
}

Task<void> SetLater(Loop* loop, Promise<std::string> promise) {
  co_await Sleep(*loop, milliseconds(1));
  promise.Set("value");
  promise.Set("ignored");
}

Task<void> GetAndStop(Loop* loop, Promise<std::string> promise, std::string* out) {
  *out = co_await promise.Get();
  loop->Stop();
}

TEST(Promise, DeliversTheFirstValue) {
  Loop loop;
  const Promise<std::string> promise(loop);
  std::string out;
  loop.Spawn("get", GetAndStop(&loop, promise, &out));
  loop.Spawn("set", SetLater(&loop, promise));
  loop.Run();
  EXPECT_EQ(out, "value");
}

Task<void> UsePool(Loop* loop, BlockingPool* pool, std::vector<std::string>* out) {
  const auto number = co_await pool->Run([] { return 42; });
  out->push_back(number.ok() ? std::to_string(*number) : "error");
  const absl::Status status = co_await pool->Run([] { return absl::NotFoundError("no"); });
  out->push_back(absl::IsNotFound(status) ? "not found" : "other");
  const absl::Status nothing = co_await pool->Run([] {});
  out->push_back(nothing.ok() ? "ok" : "other");
  const absl::Status thrown = co_await pool->Run([] { throw 1; });
  out->push_back(absl::IsInternal(thrown) ? "internal" : "other");
  const absl::StatusOr<std::string> same =
      co_await pool->Run([]() -> absl::StatusOr<std::string> { return std::string("same"); });
  out->push_back(same.value_or("error"));
  out->push_back(loop->OnThread() ? "on loop" : "elsewhere");
  loop->Stop();
}

TEST(BlockingPool, GivesTheResultBackOnTheLoop) {
  Loop loop;
  BlockingPool pool(loop, "test", 2, 10);
  std::vector<std::string> out;
  loop.Spawn("use", UsePool(&loop, &pool, &out));
  loop.Run();
  EXPECT_EQ(out,
            (std::vector<std::string>{"42", "not found", "ok", "internal", "same", "on loop"}));
}

Task<void> RunOne(BlockingPool* pool, std::atomic<bool>* release, std::vector<absl::Status>* out) {
  const absl::Status status = co_await pool->Run([release] { release->wait(false); });
  out->push_back(status);
}

TEST(BlockingPool, RefusesWhenFullAndAbortsWhatWaitsAtTheEnd) {
  Loop loop;
  std::atomic<bool> release = false;
  auto pool = std::make_unique<BlockingPool>(loop, "test", 1, 2);
  std::vector<absl::Status> out;
  // One runs or waits; of the others at least three do not fit.
  for (int i = 0; i < 6; ++i) loop.Spawn("run", RunOne(pool.get(), &release, &out));
  loop.AtTurnEnd([&] { loop.Stop(); });
  loop.Run();
  ASSERT_GE(out.size(), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(out[0]));
  release = true;
  release.notify_all();
  pool.reset();
  loop.AtTurnEnd([&] { loop.Stop(); });
  loop.Run();
  ASSERT_EQ(out.size(), 6u);
  EXPECT_TRUE(out.back().ok() || absl::IsAborted(out.back()));
}

Task<void> PoolLoop(BlockingPool* pool, std::atomic<int>* sum, int rounds, int* running,
                    Loop* loop) {
  for (int i = 0; i < rounds; ++i) {
    const auto result = co_await pool->Run([sum] { return sum->fetch_add(1); });
    if (!result.ok()) throw std::runtime_error("pool refused");
  }
  if (--*running == 0) loop->Stop();
}

TEST(BlockingPool, ManyCoroutinesShareIt) {
  Loop loop;
  BlockingPool pool(loop, "test", 4, 1000);
  std::atomic<int> sum = 0;
  int running = 50;
  for (int i = 0; i < 50; ++i) loop.Spawn("use", PoolLoop(&pool, &sum, 40, &running, &loop));
  loop.Run();
  EXPECT_EQ(sum, 2000);
}

}  // namespace
}  // namespace posthorn::net
