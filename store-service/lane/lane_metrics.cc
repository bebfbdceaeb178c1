#include "store-service/lane/lane_metrics.h"

#include "lib/observe/metrics.h"

namespace posthorn::store_service {

const LaneMetrics& LaneMetrics::Get() {
  static const LaneMetrics* const kMetrics = new LaneMetrics();
  return *kMetrics;
}

LaneMetrics::LaneMetrics()
    : commits(observe::NewCounter("posthorn_store_lane_commits_total", "Batches committed")),
      operations(
          observe::NewCounter("posthorn_store_lane_operations_total", "Operations committed")),
      failures(observe::NewCounter("posthorn_store_lane_commit_failures_total",
                                   "Batches whose transaction failed; their operations run again")),
      commit_seconds(observe::NewHistogram("posthorn_store_lane_commit_seconds",
                                           "A batch's transaction, first statement to COMMIT")),
      batch_operations(observe::NewHistogram("posthorn_store_lane_batch_operations",
                                             "Operations in one batch", {},
                                             observe::Doubling(1, 10))),
      accounts(observe::NewGauge("posthorn_store_accounts_loaded", "Accounts in memory")),
      column_bytes(observe::MemoryGauge("columns")) {}

}  // namespace posthorn::store_service
