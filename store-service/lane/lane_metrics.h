#pragma once

#include "lib/observe/metrics.h"

// What lanes count; all made at once.

namespace posthorn::store_service {

struct LaneMetrics {
  static const LaneMetrics& Get();

  observe::Counter* commits;
  observe::Counter* operations;
  observe::Counter* failures;
  // Of a transaction, from its first statement to the end of COMMIT.
  observe::Histogram* commit_seconds;
  observe::Histogram* batch_operations;
  observe::Gauge* accounts;
  observe::Gauge* column_bytes;

 private:
  LaneMetrics();
};

}  // namespace posthorn::store_service
