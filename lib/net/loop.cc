#include "lib/net/loop.h"

#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <csignal>

#include "lib/net/loop_impl.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::net {
namespace internal {

void ReportEscaped(std::string_view name, const std::exception_ptr& failure) {
  if (!failure) return;
  static observe::Counter* const escaped = observe::NewCounter(
      "posthorn_net_exceptions_total", "exceptions that escaped a coroutine or a callback");
  escaped->Add();
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    observe::Error("net.exception", {{"in", name}, {"what", e.what()}});
  } catch (...) {
    observe::Error("net.exception", {{"in", name}});
  }
}

void RunGuarded(std::string_view name, const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    ReportEscaped(name, std::current_exception());
  }
}

}  // namespace internal

namespace {

// Enough that a turn is rarely cut short, few enough that its end comes soon under any load.
constexpr int kHandlersInATurn = 1000;

class SteadyTimer : public Loop::Timer {
 public:
  SteadyTimer(asio::io_context& context, std::chrono::milliseconds delay,
              std::function<void()> work)
      : shared_(std::make_shared<Shared>(context)) {
    shared_->work = std::move(work);
    shared_->timer.expires_after(delay);
    shared_->timer.async_wait([shared = shared_](const std::error_code& error) {
      if (error || !shared->work) return;
      internal::RunGuarded("timer", std::exchange(shared->work, nullptr));
    });
  }
  ~SteadyTimer() override {
    shared_->work = nullptr;
    shared_->timer.cancel();
  }

 private:
  // The handler may be queued already when the handle goes, so both own this.
  struct Shared {
    explicit Shared(asio::io_context& context) : timer(context) {}
    asio::steady_timer timer;
    std::function<void()> work;
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace

Loop::Impl::~Impl() {
  // Frames destroyed here may post, notify and park no more than they hold, so this ends.
  while (parked.linked()) static_cast<internal::Waiter::LoopLink*>(parked.next)->owner->Drop();
  turn_end.clear();
  std::exchange(posted, {}).clear();
}

void Loop::Impl::RunPosted() {
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
  }
  for (auto& work : batch) {
    internal::RunGuarded("post", work);
    work = nullptr;
  }
}

void Loop::Impl::RunTurnEnd() {
  for (auto& work : std::exchange(turn_end, {})) internal::RunGuarded("turn end", work);
}

bool Loop::Impl::RunReady() {
  for (int i = 0; i < kHandlersInATurn; ++i) {
    if (context.poll_one() == 0) return true;
  }
  return false;
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  // OpenSSL writes to sockets without MSG_NOSIGNAL; a peer that goes away must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
}
Loop::~Loop() = default;

asio::io_context& Loop::context() { return impl_->context; }
bool Loop::Running() const { return impl_->running; }
bool Loop::OnThread() const { return impl_->thread == std::this_thread::get_id(); }

void Loop::Run() {
  impl_->thread = std::this_thread::get_id();
  impl_->running = true;
  while (!impl_->stopping) {
    const bool idle = impl_->RunReady();
    if (impl_->stopping) break;
    if (!impl_->turn_end.empty()) {
      impl_->RunTurnEnd();
    } else if (idle) {
      impl_->context.run_one();
    }
  }
  impl_->running = false;
  impl_->stopping = false;
  impl_->context.restart();
}

void Loop::Stop() {
  impl_->stopping = true;
  impl_->context.stop();
}

void Loop::Post(std::function<void()> work) {
  bool first = false;
  {
    const std::lock_guard lock(impl_->mutex);
    first = impl_->posted.empty();
    impl_->posted.push_back(std::move(work));
  }
  // One wake-up for all that is posted until it runs.
  if (first) asio::post(impl_->context, [impl = impl_.get()] { impl->RunPosted(); });
}

void Loop::AtTurnEnd(std::function<void()> work) { impl_->turn_end.push_back(std::move(work)); }

void Loop::Spawn(std::string_view name, Task<void> task) {
  asio::co_spawn(impl_->context, std::move(task), [name](const std::exception_ptr& failure) {
    internal::ReportEscaped(name, failure);
  });
}

std::unique_ptr<Loop::Timer> Loop::After(std::chrono::milliseconds delay,
                                         std::function<void()> work) {
  return std::make_unique<SteadyTimer>(impl_->context, delay, std::move(work));
}

Task<void> Sleep(Loop& loop, std::chrono::milliseconds delay) {
  asio::steady_timer timer(loop.context(), delay);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace posthorn::net
