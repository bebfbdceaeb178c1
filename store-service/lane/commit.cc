// Batches on their way into the database, and out to observers and callers.

#include <utility>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/span.h"
#include "store-service/lane/engine.h"
#include "store-service/lane/lane_metrics.h"

namespace posthorn::store_service {
namespace {

void TraceCommit(const Operation& operation, const Batch& batch) {
  const rpc::TraceContext above = operation.trace();
  if (!above.sampled) return;
  rpc::Span span(above, "lane.commit");
  span.BeganAt(rpc::WallMicros() - batch.commit_us);
  span.Set("lane.operations", std::to_string(batch.changes));
}

}  // namespace

void LaneEngine::ScheduleCommit() {
  if (commit_scheduled_ || committing_ || recovering_) return;
  commit_scheduled_ = true;
  // At the turn's end: whatever arrived together commits together.
  loop_->AtTurnEnd([this, alive = alive_] {
    if (!*alive) return;
    commit_scheduled_ = false;
    BeginCommit();
  });
}

void LaneEngine::BeginCommit() {
  if (committing_ || recovering_ || current_->entries.empty()) return;
  committing_ = std::exchange(current_, std::make_shared<Batch>());
  current_->number = committing_->number + 1;
  loop_->Spawn("lane commit", CommitCollected(committing_));
  std::vector<AccountId> stalled;
  stalled.swap(stalled_);
  DriveAll(stalled);
}

net::Task<void> LaneEngine::CommitCollected(std::shared_ptr<Batch> batch) {
  const absl::Status status = co_await Execute(batch);
  committing_.reset();
  if (!status.ok()) {
    LaneMetrics::Get().failures->Add();
    Failed(batch, status);
    co_return;
  }
  committed_ = batch->number;
  // The next batch goes to the committer before this one is told about: the disk does not wait for
  // the loop.
  BeginCommit();
  Publish(*batch);
}

net::Task<absl::Status> LaneEngine::Execute(std::shared_ptr<Batch> batch) {
  std::vector<bool> fenced(base::kLanes);
  for (const AccountId account : batch->accounts) fenced[base::LaneOf(account)] = true;
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    if (fenced[i]) batch->fence.push_back({i, lanes_[i].epoch, ++lanes_[i].batch});
  }
  if (batch->fence.empty()) co_return absl::OkStatus();
  co_return co_await committer_.Run(
      [batch, committing = commits_] { return committing->Commit(*batch); });
}

void LaneEngine::Publish(Batch& batch) {
  const LaneMetrics& metrics = LaneMetrics::Get();
  metrics.commits->Add();
  metrics.operations->Add(static_cast<double>(batch.changes));
  metrics.batch_operations->Observe(static_cast<double>(batch.changes));
  metrics.accounts->Set(static_cast<double>(slots_.size()));
  metrics.column_bytes->Set(static_cast<double>(column_bytes_));
  batch.committed_ms = base::WallMillis();
  for (const Batch::Entry& entry : batch.entries) TraceCommit(*entry.operation, batch);
  for (CommitObserver* observer : observers_) observer->OnCommitted(batch);
  for (Batch::Entry& entry : batch.entries) entry.operation->Done(std::move(entry.result));
  for (const AccountId account : batch.accounts) Drive(account);
  progress_.NotifyAll();
}

net::Task<absl::Status> LaneEngine::Between(
    std::function<absl::Status(Database&, const Fence&)> work) {
  Fence fence;
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    if (lanes_[i].held) fence.push_back({i, lanes_[i].epoch, ++lanes_[i].batch});
  }
  if (fence.empty()) co_return base::Unavailable(base::kNotOwner);
  co_return co_await committer_.Run([work = std::move(work), fence = std::move(fence),
                                     database = database_] { return work(*database, fence); });
}

}  // namespace posthorn::store_service
