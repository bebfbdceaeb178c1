#pragma once

// What the queue's core counts; all made at once.

#include <cstdint>
#include <string_view>

#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {

struct CoreMetrics {
  static const CoreMetrics& Get();

  // A recipient that is given up: why, by its enhanced status [RFC3463 4] ("4.4.7" is "expired").
  void CountBounce(std::string_view status) const;
  // From acceptance to `now_ms`; clocks that run apart count as no time.
  static void ObserveSince(observe::Histogram* seconds, int64_t accepted_ms, int64_t now_ms);

  observe::Counter* accepted;
  observe::Histogram* accept_to_stored;
  observe::Histogram* accept_to_sent;
  observe::Counter* failure_reports;
  observe::Counter* delay_reports;

 private:
  CoreMetrics();
  static constexpr int kReasons = 9;
  observe::Counter* bounces_[kReasons];
};

}  // namespace posthorn::delivery_queue
