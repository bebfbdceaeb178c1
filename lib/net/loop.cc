#include "lib/net/loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <asio/co_spawn.hpp>
#include <asio/detail/epoll_reactor.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "lib/net/loop_impl.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::net {
namespace internal {

namespace {

observe::Counter* Escaped() {
  static observe::Counter* const kEscaped = observe::NewCounter(
      "posthorn_net_exceptions_total", "Exceptions that escaped a coroutine or a callback");
  return kEscaped;
}

}  // namespace

void ReportEscaped(std::string_view name, const std::exception_ptr& failure) {
  if (!failure) return;
  Escaped()->Add();
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

// The loop sleeps outside of asio, on asio's files among others. Asio does not tell its epoll's
// descriptor; naming a member in an explicit instantiation is the one way the language leaves open.
template <auto Descriptor>
struct Expose {
  friend int EpollDescriptor(asio::detail::epoll_reactor& reactor) { return reactor.*Descriptor; }
};
int EpollDescriptor(asio::detail::epoll_reactor& reactor);
template struct Expose<&asio::detail::epoll_reactor::epoll_fd_>;

namespace {

// So many turns in a row that were not idle, and the source is asked nevertheless.
constexpr int kTurnsWithoutSource = 8;
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

Loop::Impl::Impl()
    : wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      context(1),
      keep_alive(context.get_executor()),
      thread(std::this_thread::get_id()) {
  // One that cannot be woken must not begin.
  if (wake_fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  // Asio looks at its epoll only once something has used it, but that has an event from the start:
  // a loop without a timer or a socket would find it ready at each sleep, and never sleep.
  const asio::steady_timer first_use(context);
}

Loop::Impl::~Impl() {
  // Frames destroyed here may post, notify and park no more than they hold, so this ends.
  while (parked.linked()) static_cast<internal::Waiter::LoopLink*>(parked.next)->owner->Drop();
  turn_end.clear();
  std::exchange(posted, {}).clear();
  close(wake_fd);
}

bool Loop::Impl::RunPosted() {
  if (!has_posted) return false;
  std::vector<std::function<void()>> batch;
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
    has_posted = false;
  }
  for (auto& work : batch) {
    internal::RunGuarded("post", work);
    work = nullptr;
  }
  return true;
}

void Loop::Impl::RunTurnEnd() {
  for (auto& work : std::exchange(turn_end, {})) internal::RunGuarded("turn end", work);
}

bool Loop::Impl::RunReady() {
  for (int i = 0; i < kHandlersInATurn && !stopping; ++i) {
    const bool any = RunPosted();
    if (context.poll_one() == 0 && !any) return true;
  }
  return false;
}

void Loop::Impl::TurnSource(std::span<pollfd> sleep_on) {
  internal::RunGuarded("source", [this, &sleep_on] { source->Turn(sleep_on); });
}

void Loop::Impl::Sleep() {
  asleep = true;
  // Looked at after `asleep` was set: whoever posts from here on writes to wake_fd.
  if (!has_posted && !stopping) {
    const int asio_fd = EpollDescriptor(asio::use_service<asio::detail::epoll_reactor>(context));
    pollfd files[] = {{asio_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    if (source != nullptr) {
      TurnSource(files);
    } else {
      poll(files, std::size(files), -1);
    }
    uint64_t count = 0;
    if (files[1].revents != 0) [[maybe_unused]]
      const ssize_t got = read(wake_fd, &count, sizeof(count));
  }
  asleep = false;
}

void Loop::Impl::Wake() {
  const uint64_t one = 1;
  if (asleep.exchange(false)) [[maybe_unused]]
    const ssize_t put = write(wake_fd, &one, sizeof(one));
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  // OpenSSL writes to sockets without MSG_NOSIGNAL; a peer that goes away must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
  internal::Escaped();  // made now: a panel shows 0, not nothing
}
Loop::~Loop() = default;

asio::io_context& Loop::context() { return impl_->context; }
bool Loop::Running() const { return impl_->running; }
bool Loop::OnThread() const { return impl_->thread == std::this_thread::get_id(); }
void Loop::SetSource(Source* source) { impl_->source = source; }
bool Loop::HasSource() const { return impl_->source != nullptr; }

void Loop::Run() {
  impl_->thread = std::this_thread::get_id();
  impl_->running = true;
  int busy = 0;
  while (!impl_->stopping) {
    const bool idle = impl_->RunReady();
    if (impl_->stopping) break;
    const bool ends = !impl_->turn_end.empty();
    impl_->RunTurnEnd();
    if (idle && !ends) {
      busy = 0;
      impl_->Sleep();
    } else if (impl_->source != nullptr && ++busy >= kTurnsWithoutSource) {
      busy = 0;
      impl_->TurnSource({});
    }
  }
  impl_->running = false;
  impl_->stopping = false;
}

void Loop::Stop() {
  // Not asio's stop(): coming late, it would stop the next Run for ever.
  impl_->stopping = true;
  impl_->Wake();
}

void Loop::Post(std::function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(work));
    impl_->has_posted = true;
  }
  impl_->Wake();
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
