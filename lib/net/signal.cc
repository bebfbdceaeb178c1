#include <asio/post.hpp>

#include "lib/net/loop.h"
#include "lib/net/loop_impl.h"

namespace posthorn::net {
namespace internal {

void Waiter::Park(Handler handler, Link& where, Link& parked) {
  handler_.emplace(std::move(handler));
  in_signal.owner = in_loop.owner = this;
  where.PushBack(in_signal);
  parked.PushBack(in_loop);
}

void Waiter::Wake() {
  in_signal.Unlink();
  in_loop.Unlink();
  if (!handler_) return;
  Handler handler = std::move(*handler_);
  handler_.reset();
  asio::post(std::move(handler));
}

void Waiter::Drop() {
  in_signal.Unlink();
  in_loop.Unlink();
  // Through a local: the frame that is destroyed with the handler holds this object.
  if (handler_) const Handler dropped = std::move(*std::exchange(handler_, std::nullopt));
}

}  // namespace internal

struct Signal::Impl {
  explicit Impl(Loop& l) : loop(&l) {}
  Loop* loop;
  internal::Link waiters;  // Waiter::in_signal
};

namespace {

// The caller's frame, suspended meanwhile, holds the waiter.
Task<void> Suspend(internal::Waiter* waiter, internal::Link* where, internal::Link* parked) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [waiter, where, parked](internal::Waiter::Handler handler) {
        waiter->Park(std::move(handler), *where, *parked);
      },
      asio::use_awaitable);
}

template <class Impl>
Task<void> WaitOn(std::shared_ptr<Impl> impl) {
  internal::Waiter waiter;
  co_await Suspend(&waiter, &impl->waiters, &LoopAccess::impl(*impl->loop).parked);
}

template <class Impl>
Task<bool> WaitOnFor(std::shared_ptr<Impl> impl, std::chrono::milliseconds limit) {
  internal::Waiter waiter;
  const auto timer = impl->loop->After(limit, [&waiter] {
    waiter.timed_out = waiter.in_signal.linked();
    waiter.Wake();
  });
  co_await Suspend(&waiter, &impl->waiters, &LoopAccess::impl(*impl->loop).parked);
  co_return !waiter.timed_out;
}

}  // namespace

Signal::Signal(Loop& loop) : impl_(std::make_shared<Impl>(loop)) {}

Signal::~Signal() { NotifyAll(); }

Task<void> Signal::Wait() { return WaitOn(impl_); }

Task<bool> Signal::WaitFor(std::chrono::milliseconds limit) { return WaitOnFor(impl_, limit); }

void Signal::NotifyAll() {
  while (impl_->waiters.linked()) {
    static_cast<internal::Waiter::SignalLink*>(impl_->waiters.next)->owner->Wake();
  }
}

}  // namespace posthorn::net
