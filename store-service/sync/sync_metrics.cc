#include "store-service/sync/sync_metrics.h"

#include "lib/observe/metrics.h"

namespace posthorn::store_service {

const SyncMetrics& SyncMetrics::Get() {
  static const SyncMetrics* const kMetrics = new SyncMetrics();
  return *kMetrics;
}

SyncMetrics::SyncMetrics()
    : views(observe::NewGauge("posthorn_store_sync_views", "Open views of gateways")),
      streams(observe::NewGauge("posthorn_store_sync_streams", "Sync streams of gateways")),
      changes(observe::NewCounter("posthorn_store_sync_changes_total", "Changes sent to views")),
      lost_changes(observe::NewCounter("posthorn_store_lost_changes_total",
                                       "Accounts whose clients knew changes that this store had "
                                       "lost; their mailboxes got new UIDVALIDITYs")),
      behind(observe::NewCounter(
          "posthorn_store_sync_reopened_total",
          "Views closed to be opened again: too far behind, or a lane moved")) {}

}  // namespace posthorn::store_service
