// Owning lanes: taking, renewing, handing over, losing.

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

net::Task<absl::Status> LaneEngine::Acquire(std::vector<uint32_t> lanes) {
  for (const uint32_t lane : lanes) {
    auto row = co_await committer_.Run(
        [database = database_, lane, owner = options_.owner, lease = options_.lease_ms] {
          return database->AcquireLane(lane, owner, lease);
        });
    if (row.status().code() == absl::StatusCode::kFailedPrecondition) continue;
    CO_RETURN_IF_ERROR(row.status());
    lanes_[lane] = {.held = true, .epoch = row->epoch, .batch = row->batch};
  }
  if (!renewing_) {
    renewing_ = true;
    loop_->Spawn("lane leases", RenewLeases());
  }
  co_return absl::OkStatus();
}

net::Task<void> LaneEngine::RenewLeases() {
  const std::shared_ptr<bool> alive = alive_;
  while (*alive && !stopping_) {
    co_await net::Sleep(*loop_, std::chrono::milliseconds(options_.lease_ms / 3));
    if (!*alive || stopping_) co_return;
    Fence held;
    for (uint32_t i = 0; i < base::kLanes; ++i) {
      if (lanes_[i].held) held.push_back({i, lanes_[i].epoch, 0});
    }
    const auto status = co_await committer_.Run(
        [database = database_, held = std::move(held), lease = options_.lease_ms] {
          return database->RenewLanes(held, lease);
        });
    if (!*alive) co_return;
    if (status.code() == absl::StatusCode::kAborted) co_await FindLostLanes();
    Evict();
  }
}

net::Task<void> LaneEngine::FindLostLanes() {
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    if (!lanes_[i].held) continue;
    const auto row =
        co_await committer_.Run([database = database_, i] { return database->ReadLane(i); });
    if (!row.ok() || !lanes_[i].held || row->epoch == lanes_[i].epoch) continue;
    observe::Warning("store.lane.lost", {{"lane", i}, {"owner", row->owner}});
    LoseLane(i);
  }
}

void LaneEngine::LoseLane(uint32_t lane) {
  lanes_[lane].held = false;
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
