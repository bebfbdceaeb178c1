#include "store-service/collector/collector.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::store_service {
namespace {

constexpr uint32_t kPruneStep = 1000;
constexpr std::chrono::minutes kFirstRound(10);
constexpr std::chrono::hours kBetweenRounds(24);
constexpr int64_t kKeepMarkMs = 30LL * 24 * 3600 * 1000;
// So many questions about keys go to a journal in one message.
constexpr size_t kAskStep = 10000;

using Keys = std::vector<uint64_t>;

// Of `keys` (sorted) those that no row refers to.
absl::StatusOr<Keys> WithoutRows(Database& database, const Keys& keys) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  std::vector<bool> referred(keys.size());
  RETURN_IF_ERROR(snapshot->ReadReferences([&](uint64_t key) {
    const auto found = std::lower_bound(keys.begin(), keys.end(), key);
    if (found != keys.end() && *found == key) {
      referred[static_cast<size_t>(found - keys.begin())] = true;
    }
  }));
  Keys without;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!referred[i]) without.push_back(keys[i]);
  }
  return without;
}

struct Reading {
  BlobStore& blobs;
  uint64_t bytes_a_second;
  const std::atomic<bool>& stop;

  // A scan reads everything: slowly, so that mail has the disk.
  void Pace(uint64_t bytes) const {
    if (bytes_a_second == 0) return;
    std::this_thread::sleep_for(std::chrono::microseconds(bytes * 1000000 / bytes_a_second));
  }
};

absl::StatusOr<Keys> AllBlobs(const Reading& reading) {
  Keys keys;
  RETURN_IF_ERROR(reading.blobs.ForEach(
      [&](const BlobRecord& record) {
        keys.push_back(record.ref.key);
        return !reading.stop.load();
      },
      [&reading](uint64_t bytes) { reading.Pace(bytes); }));
  if (reading.stop.load()) return base::Aborted("the store stops");
  std::sort(keys.begin(), keys.end());
  return keys;
}

struct Scan {
  uint64_t blobs = 0;
  std::vector<SuspectRow> suspects;
};

// Blobs without a row; those known from earlier scans keep their time. What is condemned is no
// suspect.
absl::StatusOr<Scan> ScanBlobs(Database& database, const Reading& reading, int64_t now) {
  // Blobs first: one that is put after this list was read cannot be on it.
  ASSIGN_OR_RETURN(const Keys all, AllBlobs(reading));
  ASSIGN_OR_RETURN(const Keys without, WithoutRows(database, all));
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  ASSIGN_OR_RETURN(const std::vector<SuspectRow> known, snapshot->Suspects());
  ASSIGN_OR_RETURN(const Keys condemned, snapshot->Condemned(INT64_MAX));
  std::unordered_map<uint64_t, int64_t> since;
  for (const SuspectRow& row : known) since[row.blob_key] = row.since_ms;
  Scan scan;
  scan.blobs = all.size();
  for (const uint64_t key : without) {
    if (std::binary_search(condemned.begin(), condemned.end(), key)) continue;
    const auto first = since.find(key);
    scan.suspects.push_back({key, first == since.end() ? now : first->second});
  }
  return scan;
}

}  // namespace

Collector::Collector(LaneEngine& lanes, BlobStore& blobs, JournalRegistry& journals,
                     CollectorOptions options)
    : lanes_(&lanes), blobs_(&blobs), journals_(&journals), options_(std::move(options)) {}

Collector::~Collector() { Stop(); }

void Collector::Stop() { *stop_ = true; }

net::Task<void> Collector::Run() {
  const std::shared_ptr<std::atomic<bool>> stop = stop_;
  net::Loop& loop = lanes_->loop();
  co_await net::Sleep(loop, kFirstRound);
  while (!*stop) {
    const auto result = co_await RunOnce();
    if (*stop) co_return;
    if (!result.ok()) {
      observe::Warning("store.collector.stopped", {{"error", base::Message(result.status())}});
    }
    co_await net::Sleep(loop, kBetweenRounds);
  }
}

int64_t Collector::Now() const { return options_.now_ms ? options_.now_ms() : base::WallMillis(); }

net::Task<absl::StatusOr<CollectorResult>> Collector::RunOnce() {
  CollectorResult result;
  const absl::Status pruned = co_await Prune();
  // Each replica prunes its own lanes; the owner of lane 0 collects for all of them.
  if (!lanes_->held(0)) co_return result;
  CO_RETURN_IF_ERROR(pruned);
  CO_RETURN_IF_ERROR(co_await FindSuspects(result));
  CO_RETURN_IF_ERROR(co_await CondemnOld(result));
  CO_RETURN_IF_ERROR(co_await DestroyCondemned(result));
  observe::Info("store.collector.round", {{"blobs", result.blobs},
                                          {"suspects", result.suspects},
                                          {"condemned", result.condemned},
                                          {"destroyed", result.destroyed}});
  co_return result;
}

net::Task<absl::Status> Collector::Prune() {
  const absl::StatusOr<int64_t> oldest = co_await journals_->OldestUnfinishedMs();
  // What a silent journal may still deliver must not be forgotten: then nothing is that old.
  const int64_t deliveries =
      oldest.ok() ? std::min(Now() - options_.deliveries_ms, *oldest) : INT64_MIN;
  const int64_t expunges = Now() - options_.undelete_ms;
  bool more = true;
  while (more) {
    more = false;
    // Small steps: deliveries go on in between.
    CO_RETURN_IF_ERROR(co_await lanes_->Between(
        [&more, deliveries, expunges](Database& database, const Fence& fence) -> absl::Status {
          ASSIGN_OR_RETURN(more, database.PruneDeliveries(fence, deliveries, kPruneStep));
          ASSIGN_OR_RETURN(const bool rest, database.PruneExpunges(fence, expunges, kPruneStep));
          more = more || rest;
          return absl::OkStatus();
        }));
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> Collector::FindSuspects(CollectorResult& result) {
  CO_ASSIGN_OR_RETURN(
      Scan scan,
      co_await lanes_->readers().Run([database = &lanes_->database(), blobs = blobs_, now = Now(),
                                      stop = stop_, bytes_a_second = options_.scan_bytes_a_second] {
        return ScanBlobs(*database, {*blobs, bytes_a_second, *stop}, now);
      }));
  result.blobs = scan.blobs;
  result.suspects = scan.suspects.size();
  co_return co_await lanes_->Between(
      [suspects = std::move(scan.suspects)](Database& database, const Fence& fence) {
        return database.PutSuspects(fence, suspects);
      });
}

net::Task<absl::Status> Collector::CondemnOld(CollectorResult& result) {
  const int64_t before = Now() - options_.suspect_ms;
  CO_ASSIGN_OR_RETURN(
      const std::vector<SuspectRow> suspects,
      co_await lanes_->readers().Run(
          [database = &lanes_->database()]() -> absl::StatusOr<std::vector<SuspectRow>> {
            ASSIGN_OR_RETURN(auto snapshot, database->OpenSnapshot());
            return snapshot->Suspects();
          }));
  Keys free;
  Keys asked;
  for (size_t i = 0; i < suspects.size(); ++i) {
    if (suspects[i].since_ms <= before) asked.push_back(suspects[i].blob_key);
    if (asked.empty() || (asked.size() < kAskStep && i + 1 < suspects.size())) continue;
    CO_ASSIGN_OR_RETURN(const Keys held, co_await journals_->Held(asked));
    std::set_difference(asked.begin(), asked.end(), held.begin(), held.end(),
                        std::back_inserter(free));
    asked.clear();
  }
  if (free.empty()) co_return absl::OkStatus();
  // After the journals' answers: what they delivered before they let go is a row by now.
  CO_ASSIGN_OR_RETURN(const Keys keys,
                      co_await lanes_->readers().Run([database = &lanes_->database(), free] {
                        return WithoutRows(*database, free);
                      }));
  result.condemned = keys.size();
  co_return co_await lanes_->Between([keys, now = Now()](Database& database, const Fence& fence) {
    return database.Condemn(fence, keys, now);
  });
}

net::Task<absl::Status> Collector::DestroyCondemned(CollectorResult& result) {
  const int64_t before = Now() - options_.destroy_ms;
  CO_ASSIGN_OR_RETURN(
      const Keys gone,
      co_await lanes_->readers().Run(
          [database = &lanes_->database(), blobs = blobs_, before]() -> absl::StatusOr<Keys> {
            ASSIGN_OR_RETURN(auto snapshot, database->OpenSnapshot());
            ASSIGN_OR_RETURN(const Keys keys, snapshot->Condemned(before));
            snapshot.reset();
            // Also without any: what else there is to tidy.
            return blobs->Destroy(keys);
          }));
  result.destroyed = gone.size();
  co_return co_await lanes_->Between([gone, now = Now()](Database& database, const Fence& fence) {
    return database.MarkDestroyed(fence, gone, now, kKeepMarkMs);
  });
}

}  // namespace posthorn::store_service
