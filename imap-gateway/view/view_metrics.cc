#include "imap-gateway/view/view_metrics.h"

#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {

const ViewMetrics& ViewMetrics::Get() {
  static const ViewMetrics* const kMetrics = new ViewMetrics();
  return *kMetrics;
}

ViewMetrics::ViewMetrics()
    : visible_seconds(observe::NewHistogram(
          "posthorn_imap_accept_to_visible_seconds",
          "From a message's acceptance until it is in an open view of its mailbox", {},
          observe::Doubling(0.001, 20))),
      lag_seconds(observe::NewHistogram("posthorn_imap_view_lag_seconds",
                                        "From a change's commit until it is in an open view")),
      changes(observe::NewCounter("posthorn_imap_view_changes_total", "Changes applied to views")),
      lost_streams(observe::NewCounter("posthorn_imap_sync_lost_total",
                                       "Sync streams that ended and were opened again")),
      views(observe::NewGauge("posthorn_imap_views",
                              "Views of mailboxes and accounts that are kept")),
      memory(observe::MemoryGauge("views")) {}

}  // namespace posthorn::imap_gateway
