#include "delivery-queue/service/queue_metrics.h"

#include <algorithm>

#include "delivery-queue/remote/remote_metrics.h"
#include "lib/base/clock.h"
#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {
namespace {

constexpr std::chrono::milliseconds kEvery{1000};
constexpr std::chrono::milliseconds kNoLease = std::chrono::hours(24);

using observe::Gauge;
using observe::NewGauge;

struct Gauges {
  Gauge* entries =
      NewGauge("posthorn_queue_entries", "Messages (and pages of lists) that are not finished");
  Gauge* active = NewGauge("posthorn_queue_active", "Entries that are being delivered now");
  Gauge* deferred = NewGauge("posthorn_queue_deferred", "Entries that wait for their next attempt");
  Gauge* held = NewGauge("posthorn_queue_held", "Entries that an operator stopped");
  Gauge* oldest = NewGauge("posthorn_queue_oldest_seconds", "Age of the oldest unfinished entry");
  Gauge* local = NewGauge("posthorn_queue_local_waiting", "Copies that wait for the store");
  Gauge* lease = NewGauge("posthorn_queue_lease_seconds",
                          "What is left of the journal's lease; a day where nobody else can have it");
  Gauge* files = NewGauge("posthorn_queue_journal_files", "Files of the journal");
  Gauge* bytes = NewGauge("posthorn_queue_journal_bytes", "Bytes of the journal's files");
  Gauge* connections =
      NewGauge("posthorn_queue_remote_sessions", "Connections to other mail hosts");
  Gauge* memory = observe::MemoryGauge("queue_entries");
};

void Update(const Gauges& gauges, const Life& life) {
  const MailQueue::Counts counts = life.queue->counts();
  gauges.entries->Set(static_cast<double>(counts.entries));
  gauges.active->Set(static_cast<double>(counts.active));
  gauges.deferred->Set(
      static_cast<double>(counts.entries - std::min(counts.entries, counts.active + counts.held)));
  gauges.held->Set(static_cast<double>(counts.held));
  const int64_t age = counts.oldest_ms == 0 ? 0 : base::WallMillis() - counts.oldest_ms;
  gauges.oldest->Set(static_cast<double>(std::max<int64_t>(0, age)) / 1000);
  gauges.memory->Set(static_cast<double>(counts.bytes));
  gauges.connections->Set(static_cast<double>(life.remote->connections()));
  gauges.local->Set(static_cast<double>(life.local->waiting()));
  const auto lease = std::min(life.journal->LeaseLeft(), kNoLease);
  gauges.lease->Set(static_cast<double>(std::max<int64_t>(0, lease.count())) / 1000);
  const Journal::Usage usage = life.journal->usage();
  gauges.files->Set(static_cast<double>(usage.files));
  gauges.bytes->Set(static_cast<double>(usage.bytes));
}

}  // namespace

net::Task<void> WatchMetrics(net::Loop& loop, CurrentLife life) {
  const Gauges gauges;
  RemoteMetrics::Get();
  for (;;) {
    if (const std::shared_ptr<Life> now = life()) Update(gauges, *now);
    co_await net::Sleep(loop, kEvery);
  }
}

}  // namespace posthorn::delivery_queue
