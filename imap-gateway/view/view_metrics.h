#pragma once

#include "lib/observe/metrics.h"

// What the views measure; in a file of its own so that sessions' metrics stay apart.

namespace posthorn::imap_gateway {

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
