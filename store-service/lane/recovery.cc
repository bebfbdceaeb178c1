// What happens when a batch fails: its accounts leave memory, its operations run again by halves.
// Between the two it is settled what became of it: a COMMIT whose link broke, or that a cluster
// without quorum refused, may have happened, and its changes come to nobody as a batch.

#include <chrono>
#include <iterator>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {
namespace {

constexpr std::chrono::milliseconds kSettlePause(200);

// The database itself is in trouble: no operation is to blame, running them one by one would only
// add to it.
bool FailsAlike(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

// What a caller is told: "try again" for whatever is not the operation's own fault. The code that
// says "over quota" must not be taken for a full disk.
absl::Status ForCaller(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kUnknown) return status;
  return base::Unavailable(base::Message(status));
}

}  // namespace

void LaneEngine::DropState(const Batch& batch) {
  for (const AccountId account : batch.accounts) {
    Slot& slot = slots_[account];
    slot.state.reset();
    slot.last_batch = 0;
  }
}

// Looking at a lane writes to its row, as the batch did that failed: it cannot come after that.
// Until the database answers nothing can be done for anybody.
net::Task<void> LaneEngine::Settle(std::deque<Entries>& groups) {
  const std::shared_ptr<bool> alive = alive_;
  std::bitset<base::kLanes> lanes;
  for (const AccountId account : doubtful_) lanes.set(base::LaneOf(account));
  for (;;) {
    const absl::Status status = co_await FindLostLanes(lanes);
    if (!*alive) co_return;
    if (status.ok()) break;
    for (Entries& group : std::exchange(groups, {})) {
      for (Batch::Entry& entry : group) entry.operation->Done(status);
    }
    for (auto& [account, slot] : slots_) FailWaiting(slot, status);
    progress_.NotifyAll();
    co_await net::Sleep(*loop_, kSettlePause);
    if (!*alive) co_return;
  }
  for (const AccountId account : std::exchange(doubtful_, {})) {
    for (CommitObserver* observer : observers_) observer->OnDoubt(account);
  }
}

void LaneEngine::Failed(std::shared_ptr<Batch> batch, const absl::Status& status) {
  observe::Warning("store.lane.batch_failed",
                   {{"error", base::Message(status)}, {"operations", batch->entries.size()}});
  recovering_ = true;
  const std::shared_ptr<Batch> on_top = std::exchange(current_, std::make_shared<Batch>());
  current_->number = on_top->number + 1;
  DropState(*batch);
  DropState(*on_top);
  doubtful_ = batch->accounts;
  std::deque<Entries> groups;
  if (FailsAlike(status)) {
    for (Batch::Entry& entry : batch->entries) entry.operation->Done(ForCaller(status));
  } else {
    const auto middle =
        batch->entries.begin() + static_cast<ptrdiff_t>((batch->entries.size() + 1) / 2);
    groups.emplace_back(std::make_move_iterator(batch->entries.begin()),
                        std::make_move_iterator(middle));
    groups.emplace_back(std::make_move_iterator(middle),
                        std::make_move_iterator(batch->entries.end()));
  }
  groups.push_back(std::move(on_top->entries));
  loop_->Spawn("lane recovery", Recover(std::move(groups)));
}

net::Task<void> LaneEngine::Recover(std::deque<Entries> groups) {
  const std::shared_ptr<bool> alive = alive_;
  while (!groups.empty() || !doubtful_.empty()) {
    if (!doubtful_.empty()) co_await Settle(groups);
    if (!*alive) co_return;
    if (groups.empty()) break;
    Entries group = std::move(groups.front());
    groups.pop_front();
    if (group.empty()) continue;
    Entries rest;
    const absl::Status status = co_await RunGroup(group, rest);
    if (!rest.empty()) groups.push_front(std::move(rest));
    if (status.ok()) continue;
    if (group.size() == 1 || FailsAlike(status)) {
      for (Batch::Entry& entry : group) entry.operation->Done(ForCaller(status));
      continue;
    }
    const auto middle = group.begin() + static_cast<ptrdiff_t>(group.size() / 2);
    Entries second(std::make_move_iterator(middle), std::make_move_iterator(group.end()));
    group.erase(middle, group.end());
    groups.push_front(std::move(second));
    groups.push_front(std::move(group));
  }
  recovering_ = false;
  std::vector<AccountId> waiting;
  for (const auto& [account, slot] : slots_) {
    if (!slot.waiting.empty()) waiting.push_back(account);
  }
  DriveAll(waiting);
  BeginCommit();
  progress_.NotifyAll();
}

net::Task<absl::Status> LaneEngine::Prepare(Operation& operation) {
  const AccountId account = operation.account();
  if (!held(base::LaneOf(account))) co_return base::Unavailable(base::kNotOwner);
  while (slots_[account].phase == Slot::Phase::kLoading) co_await progress_.Wait();
  CO_RETURN_IF_ERROR(co_await readers_->Run([database = database_, &operation]() -> absl::Status {
    ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
    return operation.BeforeRetry(*snapshot);
  }));
  if (slots_[account].state) co_return absl::OkStatus();
  co_return co_await LoadAccount(account);
}

// Applies and commits `group`. `rest`: what must wait until this part is durable. After an error
// `group` holds what was tried.
net::Task<absl::Status> LaneEngine::RunGroup(Entries& group, Entries& rest) {
  Entries tried;
  for (size_t i = 0; i < group.size(); ++i) {
    Operation& operation = *group[i].operation;
    absl::Status status = co_await Prepare(operation);
    if (!status.ok()) {
      operation.Done(std::move(status));
      continue;
    }
    Slot& slot = slots_[operation.account()];
    MailboxId missing = MissingColumns(slot, operation);
    if (missing != 0 && Pending(slot)) {
      rest.assign(std::make_move_iterator(group.begin() + static_cast<ptrdiff_t>(i)),
                  std::make_move_iterator(group.end()));
      break;
    }
    while (missing != 0 && status.ok()) {
      status = co_await LoadColumns(operation.account(), missing);
      missing = MissingColumns(slot, operation);
    }
    if (status.ok()) ApplyTo(*current_, slot, operation, status);
    if (Pending(slot)) {
      current_->entries.push_back({std::move(group[i].operation), std::move(status)});
    } else {
      operation.Done(std::move(status));
    }
  }
  group.clear();
  if (current_->entries.empty()) co_return absl::OkStatus();
  const std::shared_ptr<Batch> batch = std::exchange(current_, std::make_shared<Batch>());
  current_->number = batch->number + 1;
  absl::Status status = co_await Execute(batch);
  if (!status.ok()) {
    DropState(*batch);
    doubtful_ = batch->accounts;
    group = std::move(batch->entries);
    co_return status;
  }
  committed_ = batch->number;
  Publish(*batch);
  co_return absl::OkStatus();
}

}  // namespace posthorn::store_service
