#pragma once

#include <cstdint>

#include "lib/observe/metrics.h"

// What the views measure; in a file of its own so that sessions' metrics stay apart.

namespace posthorn::imap_gateway {

// How late the latest of the views' changes was, of those in the last ten to twenty seconds. One
// thread.
class RecentLag {
 public:
  static constexpr int64_t kPeriodMs = 10'000;
  static RecentLag& Get();  // of this process
  void Note(int64_t lag_ms, int64_t now_ms);
  int64_t Worst(int64_t now_ms);

 private:
  void Turn(int64_t now_ms);
  int64_t since_ms_ = 0;
  int64_t now_ = 0;     // the worst since then
  int64_t before_ = 0;  // of the period before
};

struct ViewMetrics {
  static const ViewMetrics& Get();

  // From a message's acceptance until a client that has its mailbox open may be told.
  observe::Histogram* visible_seconds;
  // From a change's commit in the store until it is in the view.
  observe::Histogram* lag_seconds;
  observe::Counter* changes;
  observe::Counter* lost_streams;
  observe::Gauge* views;
  observe::Gauge* memory;

 private:
  ViewMetrics();
};

}  // namespace posthorn::imap_gateway
