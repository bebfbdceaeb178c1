#include "pop3-gateway/backend/maildrop_lock.h"

#include <chrono>
#include <utility>

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/cluster/stores.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::pop3_gateway {
namespace {

namespace v1 = posthorn::store::v1;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kSession = std::chrono::hours(24);  // the lock lives as long as the session
constexpr milliseconds kPatience = std::chrono::seconds(15);
constexpr milliseconds kPause{50};

}  // namespace

struct MaildropLock::State {
  State(net::Loop& l, cluster::Stores& s, std::string t)
      : loop(l), store(s), ticket(std::move(t)) {}
  net::Loop& loop;
  cluster::Stores& store;
  const std::string ticket;
  std::unique_ptr<rpc::RawCall> call;
  bool over = false;
  bool lost = false;

  // One claim at whoever owns the account now.
  static net::Task<absl::StatusOr<uint64_t>> Claim(std::shared_ptr<State> state,
                                                   v1::LockMaildropRequest request) {
    rpc::CallOptions options;
    options.timeout = kSession;
    options.connect_within = rpc::kRestart;
    options.ticket = state->ticket;
    state->call = state->store.Start(rpc::store::kMailboxesLockMaildrop.path, "mail",
                                     rpc::Flow::kFree, std::move(options));
    CO_RETURN_IF_ERROR(co_await state->call->Write(request));
    v1::LockMaildropReply locked;
    CO_ASSIGN_OR_RETURN(const bool granted, co_await state->call->Read(locked));
    if (!granted) co_return base::Unavailable("the lock was not granted");
    co_return locked.inbox();
  }

  // Claims until it is granted or refused, or `patience` has passed.
  static net::Task<absl::StatusOr<uint64_t>> ClaimFor(std::shared_ptr<State> state,
                                                      v1::LockMaildropRequest request,
                                                      milliseconds patience) {
    const Clock::time_point deadline = Clock::now() + patience;
    for (;;) {
      absl::StatusOr<uint64_t> inbox = co_await Claim(state, request);
      if (state->over || !absl::IsUnavailable(inbox.status())) co_return inbox;
      // Without a hand-over under way one answer is enough.
      if (!request.reclaim() && base::Message(inbox.status()) != base::kNotOwner) co_return inbox;
      if (Clock::now() > deadline) co_return inbox;
      (void)co_await state->store.changed().WaitFor(kPause);
      if (state->over) co_return inbox;
    }
  }

  static net::Task<void> Hold(std::shared_ptr<State> state) {
    v1::LockMaildropRequest again;
    again.set_reclaim(true);
    while (!state->over) {
      v1::LockMaildropReply nothing;
      (void)co_await state->call->Read(nothing);
      if (state->over) co_return;
      const absl::StatusOr<uint64_t> inbox = co_await ClaimFor(state, again, kPatience);
      if (inbox.ok() || state->over) continue;
      state->lost = true;
      observe::Warning("pop3.lock.lost", {{"error", base::Message(inbox.status())}});
      co_return;
    }
  }
};

MaildropLock::MaildropLock(net::Loop& loop, cluster::Stores& store, std::string ticket)
    : state_(std::make_shared<State>(loop, store, std::move(ticket))) {}

MaildropLock::~MaildropLock() {
  state_->over = true;
  state_->call.reset();
}

net::Task<absl::StatusOr<uint64_t>> MaildropLock::Take() {
  const std::shared_ptr<State> state = state_;
  absl::StatusOr<uint64_t> inbox =
      co_await State::ClaimFor(state, v1::LockMaildropRequest(), kPatience);
  if (inbox.ok() && !state->over) state->loop.Spawn("pop3.lock", State::Hold(state));
  co_return inbox;
}

bool MaildropLock::lost() const { return state_->lost; }

}  // namespace posthorn::pop3_gateway
