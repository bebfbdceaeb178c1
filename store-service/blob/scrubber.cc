#include "store-service/blob/scrubber.h"

#include <chrono>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::store_service {

namespace {

observe::Counter* Damage() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_store_blob_damage_total", "Places in segments that could not be read back");
  return kCounter;
}

observe::Counter* Passes() {
  static observe::Counter* const kPasses = observe::NewCounter(
      "posthorn_store_scrub_passes_total", "Complete passes of the scrubber over all segments");
  return kPasses;
}

observe::Gauge* Scrubs() {
  static observe::Gauge* const kScrubs = observe::NewGauge(
      "posthorn_store_scrubs", "1 while this is the store that reads all messages back");
  return kScrubs;
}

}  // namespace

void ReportDamage(const BlobDamage& damage) {
  Damage()->Add();
  observe::Error("store.blob.damage",
                 {{"segment", damage.segment}, {"offset", damage.offset}, {"what", damage.what}});
}

Scrubber::Scrubber(BlobStore& store, ScrubberOptions options)
    : store_(store), options_(options), thread_([this] { Run(); }) {
  Damage();  // made now: a panel shows 0, not nothing
  Passes();
}

Scrubber::~Scrubber() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

uint64_t Scrubber::passes() {
  const std::lock_guard lock(mutex_);
  return passes_;
}

bool Scrubber::WaitForPasses(uint64_t count, int64_t limit_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(limit_ms),
                           [&] { return passes_ >= count; });
}

bool Scrubber::Sleep(int64_t ms) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return stop_; });
}

void Scrubber::Pace(uint64_t bytes) {
  debt_ += bytes;
  // In steps of about 50 ms, so that small messages do not cost a sleep each.
  if (debt_ * 20 < options_.bytes_per_second) return;
  Sleep(static_cast<int64_t>(debt_ * 1000 / options_.bytes_per_second));
  debt_ = 0;
}

void Scrubber::Set(Mode mode) {
  const std::lock_guard lock(mutex_);
  mode_ = mode;
  Scrubs()->Set(mode == Mode::kReads ? 1 : 0);
}

bool Scrubber::Reads() {
  const std::lock_guard lock(mutex_);
  return !stop_ && mode_ == Mode::kReads;
}

void Scrubber::Run() {
  while (Sleep(options_.pause_ms)) {
    if (!Reads()) continue;
    bool whole = true;
    const absl::Status status = store_.ForEach([&](const BlobRecord&) { return whole = Reads(); },
                                               [this](uint64_t bytes) { Pace(bytes); });
    if (!status.ok()) observe::Warning("store.scrub.failed", {{"error", base::Message(status)}});
    const std::lock_guard lock(mutex_);
    if (stop_ || !whole || !status.ok()) continue;
    ++passes_;
    Passes()->Add();
    changed_.notify_all();
  }
}

}  // namespace posthorn::store_service
