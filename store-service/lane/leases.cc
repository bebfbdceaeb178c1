// Owning lanes: taking, renewing, handing over, losing.

#include <time.h>

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {
namespace {

// Goes on while this process is stopped, and while the machine sleeps.
int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

observe::Counter* LaneChanges() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_store_lane_changes_total", "lanes that this replica took, lost or handed over");
  return kCounter;
}

}  // namespace

void LaneEngine::CountLanes() {
  static observe::Gauge* const kOwned =
      observe::NewGauge("posthorn_store_lanes_owned", "lanes that this replica owns, of 32");
  kOwned->Set(static_cast<double>(
      std::count_if(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.held; })));
}

bool LaneEngine::held(uint32_t lane) const {
  return lanes_[lane].held && NowMs() < lanes_[lane].sure_until_ms;
}

bool LaneEngine::MayBegin(AccountId account) {
  const uint32_t number = base::LaneOf(account);
  const Lane& lane = lanes_[number];
  if (!lane.held || lane.leaving || stopping_) return false;
  if (held(number)) return true;
  renew_now_.NotifyAll();
  return false;
}

net::Task<absl::Status> LaneEngine::Ask(std::function<absl::Status(Database&)> work) {
  return committer_.Run([database = database_, work = std::move(work)] { return work(*database); });
}

net::Task<absl::Status> LaneEngine::Acquire(std::vector<uint32_t> lanes) {
  for (const uint32_t lane : lanes) {
    if (lanes_[lane].held) continue;
    const int64_t before = NowMs();
    auto row = co_await committer_.Run(
        [database = database_, lane, owner = options_.owner, lease = options_.lease_ms] {
          return database->AcquireLane(lane, owner, lease);
        });
    if (row.status().code() == absl::StatusCode::kFailedPrecondition) continue;
    CO_RETURN_IF_ERROR(row.status());
    lanes_[lane] = {.held = true,
                    .epoch = row->epoch,
                    .batch = row->batch,
                    .sure_until_ms = before + options_.lease_ms};
    LaneChanges()->Add();
    for (CommitObserver* observer : observers_) observer->OnLaneTaken(lane);
  }
  CountLanes();
  if (!renewing_) {
    renewing_ = true;
    loop_->Spawn("lane leases", RenewLeases());
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> LaneEngine::RenewAll() {
  const int64_t before = NowMs();
  Fence all;
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    if (lanes_[i].held) all.push_back({i, lanes_[i].epoch, 0});
  }
  if (all.empty()) co_return absl::OkStatus();
  const std::shared_ptr<bool> alive = alive_;
  absl::Status status =
      co_await committer_.Run([database = database_, all, lease = options_.lease_ms] {
        return database->RenewLanes(all, lease);
      });
  if (!*alive || !status.ok()) co_return status;
  for (const FencedLane& lane : all) {
    if (lanes_[lane.lane].epoch == lane.epoch)
      lanes_[lane.lane].sure_until_ms = before + options_.lease_ms;
  }
  co_return status;
}

net::Task<void> LaneEngine::RenewLeases() {
  const std::shared_ptr<bool> alive = alive_;
  bool well = true;
  while (*alive && !stopping_) {
    const int64_t pause = well ? options_.lease_ms / 3 : options_.lease_ms / 30;
    (void)co_await renew_now_.WaitFor(std::chrono::milliseconds(pause));
    if (!*alive || stopping_) co_return;
    const absl::Status status = co_await RenewAll();
    if (!*alive) co_return;
    well = status.ok();
    if (status.code() == absl::StatusCode::kAborted) {
      (void)co_await FindLostLanes(std::bitset<base::kLanes>().set());
      if (!*alive) co_return;
    }
    Evict();
  }
}

// kUnavailable: the database does not answer.
net::Task<absl::Status> LaneEngine::FindLostLanes(std::bitset<base::kLanes> among) {
  const std::shared_ptr<bool> alive = alive_;
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    if (!among[i] || !lanes_[i].held) continue;
    const auto row =
        co_await committer_.Run([database = database_, i] { return database->ReadLane(i); });
    if (!*alive) co_return base::Unavailable("this store has ended");
    const absl::StatusCode code = row.status().code();
    if (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kUnknown) {
      co_return base::Unavailable(base::Message(row.status()));
    }
    if (!row.ok() || !lanes_[i].held || row->epoch == lanes_[i].epoch) continue;
    observe::Warning("store.lane.lost", {{"lane", i}, {"owner", row->owner}});
    LoseLane(i);
  }
  co_return absl::OkStatus();
}

void LaneEngine::LoseLane(uint32_t lane) {
  lanes_[lane].held = false;
  LaneChanges()->Add();
  CountLanes();
  for (auto& [account, slot] : slots_) {
    if (base::LaneOf(account) != lane) continue;
    if (!Pending(slot)) slot.state.reset();
    FailWaiting(slot, base::Unavailable(base::kNotOwner));
  }
  for (CommitObserver* observer : observers_) observer->OnLaneLost(lane);
}

net::Task<absl::Status> LaneEngine::Release(uint32_t lane) {
  if (!lanes_[lane].held) co_return absl::OkStatus();
  lanes_[lane].leaving = true;
  const auto busy = [&] {
    for (const auto& [account, slot] : slots_) {
      if (base::LaneOf(account) != lane) continue;
      if (!slot.waiting.empty() || Pending(slot) || slot.phase == Slot::Phase::kLoading)
        return true;
    }
    return false;
  };
  while (busy()) co_await progress_.Wait();
  const auto status =
      co_await committer_.Run([database = database_, lane, epoch = lanes_[lane].epoch] {
        return database->ReleaseLane(lane, epoch);
      });
  if (lanes_[lane].held) LoseLane(lane);
  lanes_[lane] = {};
  co_return status;
}

net::Task<void> LaneEngine::Stop() {
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    const absl::Status status = co_await Release(i);
    if (!status.ok()) {
      observe::Warning("store.lane.release", {{"lane", i}, {"error", base::Message(status)}});
    }
  }
  stopping_ = true;
}

}  // namespace posthorn::store_service
