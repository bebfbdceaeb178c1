#pragma once

#include "lib/observe/metrics.h"

namespace posthorn::store_service {

// What the replicated views count; all made at once.
struct SyncMetrics {
  static const SyncMetrics& Get();

  observe::Gauge* views;
  observe::Gauge* streams;  // gateways attached
  observe::Counter* changes;
  observe::Counter* lost_changes;
  observe::Counter* behind;  // views closed to be opened again

 private:
  SyncMetrics();
};

}  // namespace posthorn::store_service
