#include "store-service/mailbox/eraser.h"

#include <chrono>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::store_service {
namespace {

constexpr std::chrono::milliseconds kRetry{5000};
// An erased account says how far it is every so many steps.
constexpr uint64_t kTellEvery = 200;

observe::Gauge* Erasing() {
  static observe::Gauge* const gauge = observe::NewGauge(
      "posthorn_store_erasing_accounts", "Removed accounts whose mail is going right now");
  return gauge;
}
observe::Counter* Steps() {
  static observe::Counter* const counter =
      observe::NewCounter("posthorn_store_erase_steps_total",
                          "Transactions that took out rows of removed accounts and mailboxes");
  return counter;
}

}  // namespace

Eraser::Eraser(LaneEngine& lanes) : lanes_(&lanes), wake_(lanes.loop()), ended_(lanes.loop()) {
  lanes.AddObserver(this);
}

void Eraser::Start() {
  started_ = true;
  Erasing();  // made now: a panel shows 0, not nothing
  Steps();
  lanes_->loop().Spawn("store.purge", Purge());
}

net::Task<void> Eraser::Stop() {
  *stopped_ = true;
  wake_.NotifyAll();
  if (started_) co_await ended_.Get();
}

// Its last owner may have left work behind.
void Eraser::OnLaneTaken(uint32_t) {
  news_ = true;
  wake_.NotifyAll();
}

void Eraser::OnCommitted(const Batch& batch) {
  if (batch.rows.deleted_mailboxes.empty()) return;
  news_ = true;
  wake_.NotifyAll();
}

net::Task<absl::StatusOr<bool>> Eraser::Step(
    std::function<absl::StatusOr<bool>(Database&, const Fence&)> step) {
  const auto more = std::make_shared<bool>(false);
  Steps()->Add();
  CO_RETURN_IF_ERROR(co_await lanes_->Between(
      [more, step = std::move(step)](Database& database, const Fence& fence) -> absl::Status {
        ASSIGN_OR_RETURN(*more, step(database, fence));
        return absl::OkStatus();
      }));
  co_return *more;
}

net::Task<void> Eraser::Purge() {
  const std::shared_ptr<bool> stopped = stopped_;
  while (!*stopped) {
    if (!news_) {
      co_await wake_.Wait();
      continue;
    }
    news_ = false;
    const absl::StatusOr<bool> more = co_await Step(
        [](Database& database, const Fence& fence) { return database.PurgeDropped(fence, kStep); });
    KILL_POINT("store.purge.step");
    news_ = news_ || !more.ok() || *more;
    if (more.ok() || *stopped) continue;
    if (base::Message(more.status()) == base::kNotOwner) {
      news_ = false;  // until a lane is ours
      continue;
    }
    observe::Warning("store.purge.failed", {{"reason", base::Message(more.status())}});
    co_await wake_.WaitFor(kRetry);
  }
  ended_.Set(true);
}

net::Task<absl::Status> Eraser::EraseAccount(AccountId account) {
  struct Counted {
    Counted() { Erasing()->Add(1); }
    ~Counted() { Erasing()->Add(-1); }
  } const counted;
  const std::shared_ptr<bool> stopped = stopped_;
  co_await lanes_->Forget(account);
  const int64_t now = base::WallMillis();
  for (uint64_t steps = 1; !*stopped; ++steps) {
    CO_ASSIGN_OR_RETURN(const bool more,
                        co_await Step([account, now](Database& database, const Fence& fence) {
                          return database.EraseAccount(fence, account, now, kStep);
                        }));
    KILL_POINT("store.erase.step");
    if (!more) co_return absl::OkStatus();
    if (steps % kTellEvery == 0) {
      observe::Info("store.erase", {{"account", account}, {"rows", steps * kStep}});
    }
  }
  co_return base::Unavailable("the store stops");
}

}  // namespace posthorn::store_service
