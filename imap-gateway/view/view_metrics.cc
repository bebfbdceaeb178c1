#include "imap-gateway/view/view_metrics.h"

#include <algorithm>

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

RecentLag& RecentLag::Get() {
  static RecentLag recent;
  return recent;
}

void RecentLag::Turn(int64_t now_ms) {
  const int64_t passed = now_ms - since_ms_;
  if (passed < kPeriodMs) return;
  before_ = passed < 2 * kPeriodMs ? now_ : 0;
  now_ = 0;
  since_ms_ = now_ms;
}

void RecentLag::Note(int64_t lag_ms, int64_t now_ms) {
  Turn(now_ms);
  now_ = std::max(now_, lag_ms);
}

int64_t RecentLag::Worst(int64_t now_ms) {
  Turn(now_ms);
  return std::max(now_, before_);
}

}  // namespace posthorn::imap_gateway
