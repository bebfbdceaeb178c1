#include "store-service/lane/committer.h"

#include <thread>

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/strings.h"
#include "store-service/lane/lane_metrics.h"

namespace posthorn::store_service {
namespace {

using Clock = std::chrono::steady_clock;

// Not to know is worse than to wait: a client that is told "no" would do it again.
constexpr std::chrono::seconds kPatienceForTheTruth(15);
constexpr std::chrono::milliseconds kPause(100);

// The link to the database broke during COMMIT: its own word decides. As long as the lane is ours,
// the fence's number is in its row exactly when the whole batch is. kUnavailable: it is not, and
// will not be. Another owner counts on from where it found the row, so its number says nothing
// about us.
absl::Status AskDatabase(Database& database, const Fence& fence, const absl::Status& said) {
  for (const auto end = Clock::now() + kPatienceForTheTruth; Clock::now() < end;) {
    const absl::StatusOr<LaneRow> row = database.ReadLane(fence.front().lane);
    if (row.ok()) {
      if (row->epoch != fence.front().epoch) return base::Aborted("lane was taken over");
      if (row->batch == fence.front().batch) return absl::OkStatus();
      return base::Unavailable(base::Message(said));
    }
    std::this_thread::sleep_for(kPause);
  }
  return base::Error(absl::StatusCode::kUnknown, base::Message(said));
}

}  // namespace

absl::Status Committer::Commit(Batch& batch) {
  if (before_) before_();
  KILL_POINT("lane.before_commit");
  const int64_t begin = base::MonotonicMicros();
  absl::Status status = CommitPatiently(batch);
  batch.commit_us = base::MonotonicMicros() - begin;
  LaneMetrics::Get().commit_seconds->Observe(static_cast<double>(batch.commit_us) / 1e6);
  KILL_POINT("lane.after_commit");
  return status;
}

absl::Status Committer::CommitPatiently(const Batch& batch) {
  for (;;) {
    absl::Status status = database_->Commit(batch.fence, batch.rows);
    if (status.code() == absl::StatusCode::kUnknown) {
      status = AskDatabase(*database_, batch.fence, status);
    }
    if (status.code() != absl::StatusCode::kUnavailable) {
      away_since_.reset();
      return status;
    }
    // Nothing happened: the same batch again, under the same fence.
    if (!away_since_) away_since_ = Clock::now();
    if (Clock::now() - *away_since_ >= patience_) return status;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace posthorn::store_service
