#pragma once

// Frees the bytes of messages nobody refers to any more (deep-structures 3). Bytes are freed on an
// answer, never on a clock alone. Invariants:
//  1. A blob is condemned when a scan found no row, a day later another found none, in between
//  every registered
//     journal said it does not hold it, and a last scan after those answers found no row either.
//  2. Condemning is a write under the fence and final: any batch that refers to the blob fails from
//  then on.
//  3. Delivery ids of messages that some registered journal still has to finish are kept whatever
//     their age.
//  4. Only condemned bytes are destroyed, some time later.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "store-service/blob/blob_store.h"
#include "store-service/lane/engine.h"
#include "store-service/service/journal_registry.h"

namespace posthorn::store_service {

struct CollectorOptions {
  int64_t suspect_ms = 24LL * 3600 * 1000;            // from the first scan without a row
  int64_t undelete_ms = 7LL * 24 * 3600 * 1000;       // expunged messages keep their bytes so long
  int64_t deliveries_ms = 7LL * 24 * 3600 * 1000;     // delivery ids are known at least so long
  int64_t destroy_ms = 3600 * 1000;                   // from condemning to destroying
  std::function<int64_t()> now_ms;                    // tests; empty: the wall clock
  uint64_t scan_bytes_a_second = uint64_t{50} << 20;  // 0: as fast as the disk can
};

struct CollectorResult {
  uint64_t blobs = 0;
  uint64_t suspects = 0;
  uint64_t condemned = 0;
  uint64_t destroyed = 0;
};

class Collector {
 public:
  // All outlive the collector.
  Collector(LaneEngine& lanes, BlobStore& blobs, JournalRegistry& journals,
            CollectorOptions options);
  ~Collector();
  // Rounds for ever: the first some minutes after the start, then daily.
  net::Task<void> Run();
  // Any thread: a scan that runs ends soon, the round fails.
  void Stop();
  // One round; run it daily, one at a time. kUnavailable: a registered journal does not answer:
  // nothing was condemned, and no delivery id was forgotten.
  net::Task<absl::StatusOr<CollectorResult>> RunOnce();

 private:
  int64_t Now() const;
  net::Task<absl::Status> Prune();
  net::Task<absl::Status> FindSuspects(CollectorResult& result);
  net::Task<absl::Status> CondemnOld(CollectorResult& result);
  net::Task<absl::Status> DestroyCondemned(CollectorResult& result);

  LaneEngine* lanes_;
  BlobStore* blobs_;
  JournalRegistry* journals_;
  CollectorOptions options_;
  std::shared_ptr<std::atomic<bool>> stop_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace posthorn::store_service
