#include "store-service/blob/appender.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "store-service/blob/record.h"

namespace posthorn::store_service {
namespace {

struct CommitMetrics {
  observe::Counter* appends = observe::NewCounter("posthorn_store_blob_appends_total",
                                                  "Small messages appended and durable");
  observe::Counter* failures = observe::NewCounter("posthorn_store_blob_append_failures_total",
                                                   "Small messages that could not be appended");
  observe::Histogram* seconds = observe::NewHistogram("posthorn_store_blob_commit_seconds",
                                                      "Writing and syncing one group of messages");
  observe::Histogram* messages = observe::NewHistogram(
      "posthorn_store_blob_batch_messages", "Messages in one group", {}, observe::Doubling(1, 12));
  static const CommitMetrics& Get() {
    static const CommitMetrics metrics;
    return metrics;
  }
};

}  // namespace

Appender::Appender(BatchWriter& writer, Limits limits, Deliver deliver)
    : writer_(writer), limits_(limits), deliver_(std::move(deliver)) {
  CommitMetrics::Get();  // made now: a panel shows 0, not nothing
  for (int i = 0; i < limits_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

Appender::~Appender() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Appender::Append(std::string body, std::string aux, AppendDone done) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = waiting_.empty() && refused_.empty();
    const uint64_t bytes = body.size() + aux.size();
    if (waiting_bytes_ + bytes > limits_.waiting_bytes) {
      refused_.push_back(std::move(done));
    } else {
      waiting_bytes_ += bytes;
      waiting_.push_back({std::move(body), std::move(aux), std::move(done)});
    }
  }
  if (first) work_.notify_one();
}

BlobStats Appender::Stats() {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool Appender::Take(std::vector<Message>& batch, std::vector<AppendDone>& refused) {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [this] { return stop_ || !waiting_.empty() || !refused_.empty(); });
  refused.swap(refused_);
  batch.swap(waiting_);
  uint64_t bytes = 0;
  uint64_t stored = 0;  // many tiny ones are mostly headers
  for (size_t i = 0; i < batch.size(); ++i) {
    const uint64_t more = batch[i].body.size() + batch[i].aux.size();
    stored += RecordSize(batch[i].body.size(), batch[i].aux.size());
    if (stored > limits_.batch_bytes && i > 0) {
      const auto rest = batch.begin() + static_cast<std::ptrdiff_t>(i);
      waiting_.assign(std::make_move_iterator(rest), std::make_move_iterator(batch.end()));
      batch.erase(rest, batch.end());
      break;
    }
    bytes += more;
  }
  waiting_bytes_ -= bytes;
  return !batch.empty() || !refused.empty();
}

void Appender::Run() {
  std::vector<Message> batch;
  std::vector<AppendDone> refused;
  while (Take(batch, refused)) {
    std::vector<Completion> overload;
    for (AppendDone& done : refused) {
      overload.push_back(
          {std::move(done), base::Unavailable("too many messages wait for the disk")});
    }
    refused.clear();
    if (!overload.empty()) Answer(std::move(overload));
    if (!batch.empty()) Commit(std::exchange(batch, {}));
  }
}

void Appender::Answer(std::vector<Completion> completions) {
  if (deliver_) return deliver_(std::move(completions));
  for (Completion& completion : completions) completion.done(std::move(completion.result));
}

void Appender::Commit(std::vector<Message> batch) {
  const CommitMetrics& metrics = CommitMetrics::Get();
  const int64_t began = base::MonotonicMicros();
  std::vector<BlobRef> refs;
  const absl::Status status = writer_.Write(batch, refs);
  metrics.messages->Observe(static_cast<double>(batch.size()));
  metrics.seconds->Observe(static_cast<double>(base::MonotonicMicros() - began) / 1e6);
  (status.ok() ? metrics.appends : metrics.failures)->Add(static_cast<double>(batch.size()));
  {
    const std::lock_guard lock(mutex_);
    ++(status.ok() ? stats_.commits : stats_.failed_commits);
    if (status.ok()) stats_.appends += batch.size();
  }
  std::vector<Completion> completions;
  completions.reserve(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    completions.push_back(
        {std::move(batch[i].done), status.ok() ? absl::StatusOr<BlobRef>(refs[i]) : status});
  }
  Answer(std::move(completions));
}

}  // namespace posthorn::store_service
