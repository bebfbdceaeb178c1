#pragma once

#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {

// What a journal counts, wherever it keeps its records; all made at once.
struct JournalMetrics {
  static const JournalMetrics& Get();

  // From a batch's begin until it is durable.
  observe::Histogram* commit_seconds;
  observe::Histogram* batch_records;
  observe::Counter* failures;

 private:
  JournalMetrics();
};

}  // namespace posthorn::delivery_queue
