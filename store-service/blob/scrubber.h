#pragma once

// Reads every message back, slowly, for as long as it is told to, on a thread of its own. Damage
// goes where the store's on_damage goes.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "store-service/blob/blob_store.h"

namespace posthorn::store_service {

struct ScrubberOptions {
  uint64_t bytes_per_second = 2 << 20;
  // Between two passes, and before the first one.
  int64_t pause_ms = 60'000;
};

class Scrubber {
 public:
  Scrubber(BlobStore& store, ScrubberOptions options);  // `store` outlives it
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;

  // Where several stores share the bytes, one of them reads all back. The others rest; a pass that
  // is under way ends. Any thread; rests until told otherwise.
  enum class Mode { kRests, kReads };
  void Set(Mode mode);

  // Passes completed so far.
  uint64_t passes();
  // Waits until `count` passes are completed; false when `limit_ms` passed first.
  bool WaitForPasses(uint64_t count, int64_t limit_ms);

 private:
  void Run();
  bool Sleep(int64_t ms);  // false: told to stop
  bool Reads();
  void Pace(uint64_t bytes);

  BlobStore& store_;
  const ScrubberOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  Mode mode_ = Mode::kRests;
  uint64_t passes_ = 0;
  uint64_t debt_ = 0;  // bytes read and not yet slept for; the thread's own
  std::thread thread_;
};

// The default of LocalBlobOptions::on_damage: a log line (error) and
// posthorn_store_blob_damage_total.
void ReportDamage(const BlobDamage& damage);

}  // namespace posthorn::store_service
