#include "lib/process/event_shipper.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::process {

struct EventShipper::State {
  State(net::Loop& l, std::string o, Send s)
      : loop(l), origin(std::move(o)), send(std::move(s)), idle(l) {}

  net::Loop& loop;
  const std::string origin;
  const Send send;
  std::deque<common::v1::Event> ring;
  size_t in_flight = 0;  // events at the front of the ring that are on their way
  bool stopped = false;
  bool away = false;
  std::unique_ptr<net::Loop::Timer> timer;
  net::Signal idle;
  observe::Counter* shipped =
      observe::NewCounter("posthorn_process_trace_events_total",
                          "Trace events, by what became of them", {{"outcome", "shipped"}});
  observe::Counter* dropped =
      observe::NewCounter("posthorn_process_trace_events_total",
                          "Trace events, by what became of them", {{"outcome", "dropped"}});
};

EventShipper::EventShipper(net::Loop& loop, std::string origin, Send send)
    : state_(std::make_shared<State>(loop, std::move(origin), std::move(send))) {}

EventShipper::~EventShipper() {
  state_->stopped = true;
  state_->timer.reset();
}

size_t EventShipper::waiting() const { return state_->ring.size(); }

void EventShipper::Add(common::v1::Event event) {
  State& state = *state_;
  if (state.ring.size() >= kRing) {
    // The newest goes: the front of the ring may be on its way.
    state.dropped->Add();
    return;
  }
  if (event.time_ms() == 0) event.set_time_ms(static_cast<uint64_t>(base::WallMillis()));
  if (event.origin().empty()) event.set_origin(state.origin);
  state.ring.push_back(std::move(event));
  if (state.in_flight > 0 || state.away) return;
  if (state.ring.size() >= kBatch) {
    Arm(state_, std::chrono::milliseconds(0));
  } else if (state.timer == nullptr) {
    Arm(state_, kGather);
  }
}

void EventShipper::Arm(const std::shared_ptr<State>& state, std::chrono::milliseconds delay) {
  state->timer = state->loop.After(delay, [weak = std::weak_ptr<State>(state)] {
    const std::shared_ptr<State> self = weak.lock();
    if (!self || self->stopped || self->in_flight > 0) return;
    self->in_flight = std::min(self->ring.size(), kBatch);
    self->loop.Spawn("trace.ship", Ship(self));
  });
}

net::Task<void> EventShipper::Ship(std::shared_ptr<State> state) {
  state->timer.reset();
  store::v1::RecordEventsRequest request;
  for (size_t i = 0; i < state->in_flight; ++i) *request.add_events() = state->ring[i];
  const absl::Status status = co_await state->send(std::move(request));
  if (state->stopped) co_return;
  if (status.ok()) {
    state->shipped->Add(static_cast<double>(state->in_flight));
    state->ring.erase(state->ring.begin(),
                      state->ring.begin() + static_cast<long>(state->in_flight));
  } else if (!state->away) {
    observe::Warning("trace.away",
                     {{"code", static_cast<int>(status.code())}, {"waiting", state->ring.size()}});
  }
  state->in_flight = 0;
  state->away = !status.ok();
  if (state->ring.empty()) state->idle.NotifyAll();
  if (!state->ring.empty())
    Arm(state, state->away                    ? kPause
               : state->ring.size() >= kBatch ? std::chrono::milliseconds(0)
                                              : kGather);
}

net::Task<void> EventShipper::Flush(std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  if (!state->ring.empty() && state->in_flight == 0) Arm(state, std::chrono::milliseconds(0));
  while (!state->ring.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !co_await state->idle.WaitFor(left)) break;
  }
}

}  // namespace posthorn::process
