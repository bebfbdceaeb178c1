#include "delivery-queue/journal/journal_metrics.h"

#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {

const JournalMetrics& JournalMetrics::Get() {
  static const JournalMetrics* const kMetrics = new JournalMetrics();
  return *kMetrics;
}

JournalMetrics::JournalMetrics()
    : commit_seconds(observe::NewHistogram("posthorn_queue_journal_commit_seconds",
                                           "One batch of the journal until it is durable")),
      batch_records(observe::NewHistogram("posthorn_queue_journal_batch_records",
                                          "Records in one batch of the journal", {},
                                          observe::Doubling(1, 12))),
      failures(observe::NewCounter("posthorn_queue_journal_failures_total",
                                   "Batches of the journal that could not be made durable")) {}

}  // namespace posthorn::delivery_queue
