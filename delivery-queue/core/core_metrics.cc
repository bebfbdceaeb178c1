#include "delivery-queue/core/core_metrics.h"

#include <algorithm>
#include <cstdint>

#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {
namespace {

using observe::NewCounter;
using observe::NewHistogram;

// The subjects of enhanced status codes, 0 to 7, and mail that grew too old.
constexpr std::string_view kReasonNames[] = {"other",    "address", "mailbox", "system", "network",
                                             "protocol", "content", "policy",  "expired"};

observe::Counter* Reports(std::string_view kind) {
  return NewCounter("posthorn_queue_reports_total", "Status notifications written to senders",
                    {{"kind", kind}});
}

}  // namespace

const CoreMetrics& CoreMetrics::Get() {
  static const CoreMetrics* const kMetrics = new CoreMetrics();
  return *kMetrics;
}

CoreMetrics::CoreMetrics()
    : accepted(NewCounter("posthorn_queue_accepted_total", "Entries made durable")),
      accept_to_stored(NewHistogram("posthorn_queue_accept_to_stored_seconds",
                                    "From acceptance to stored in the mailbox", {},
                                    observe::Doubling(0.001, 24))),
      accept_to_sent(NewHistogram("posthorn_queue_accept_to_sent_seconds",
                                  "From acceptance to another host's 250", {},
                                  observe::Doubling(0.01, 26))),
      failure_reports(Reports("failed")),
      delay_reports(Reports("delayed")) {
  static_assert(std::size(kReasonNames) == CoreMetrics::kReasons);
  for (size_t i = 0; i < std::size(bounces_); ++i)
    bounces_[i] = NewCounter("posthorn_queue_bounced_recipients_total",
                             "Recipients given up, by why", {{"reason", kReasonNames[i]}});
}

void CoreMetrics::CountBounce(std::string_view status) const {
  size_t reason = 0;
  if (status == "4.4.7") {
    reason = kReasons - 1;
  } else if (status.size() > 2 && status[2] >= '0' && status[2] <= '7') {
    reason = static_cast<size_t>(status[2] - '0');
  }
  bounces_[reason]->Add();
}

void CoreMetrics::ObserveSince(observe::Histogram* seconds, int64_t accepted_ms, int64_t now_ms) {
  seconds->Observe(static_cast<double>(std::max<int64_t>(0, now_ms - accepted_ms)) / 1000);
}

}  // namespace posthorn::delivery_queue
