#include "store-service/objects/rounds.h"

#include "lib/base/strings.h"

namespace posthorn::store_service {

struct Rounds::State {
  State(net::Loop& l, std::chrono::milliseconds p, Work w)
      : loop(l), period(p), work(std::move(w)), wanted(l), done(l) {}
  net::Loop& loop;
  const std::chrono::milliseconds period;
  Work work;
  bool stopped = false;
  uint64_t asked = 0;  // the newest round somebody waits for
  uint64_t begun = 0;
  uint64_t ended = 0;
  absl::Status last;
  net::Signal wanted;
  net::Signal done;
};

Rounds::Rounds(net::Loop& loop, std::chrono::milliseconds period, Work work)
    : state_(std::make_shared<State>(loop, period, std::move(work))) {
  loop.Spawn("directory.rounds", Run(state_));
}

Rounds::~Rounds() {
  state_->stopped = true;
  state_->wanted.NotifyAll();
  state_->done.NotifyAll();
}

net::Task<void> Rounds::Run(std::shared_ptr<State> state) {
  while (!state->stopped) {
    if (state->asked <= state->begun) (void)co_await state->wanted.WaitFor(state->period);
    if (state->stopped) break;
    ++state->begun;
    absl::Status result = co_await state->work();
    state->last = std::move(result);
    state->ended = state->begun;
    state->done.NotifyAll();
  }
}

net::Task<absl::Status> Rounds::Fresh(std::chrono::milliseconds limit) {
  return Wait(state_, limit);
}

net::Task<absl::Status> Rounds::Wait(std::shared_ptr<State> state,
                                     std::chrono::milliseconds limit) {
  const uint64_t mine = state->begun + 1;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  state->asked = mine;
  state->wanted.NotifyAll();
  while (state->ended < mine && !state->stopped) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return base::Unavailable("the database does not answer in time");
    (void)co_await state->done.WaitFor(left);
  }
  if (state->stopped) co_return base::Unavailable("the store stops");
  co_return state->last;
}

}  // namespace posthorn::store_service
