#pragma once

// Moves a running installation from its SQLite files to a MySQL database. In order:
//  1. Check: both sides can be used; the target is made ready, empty and marked as unfinished.
//  2. Copy, while mail flows: everything, part by part; what is written meanwhile is noted.
//  3. Catch up: what was noted is copied again, until little is left; then both sides are compared.
//  4. Stop: nothing is written any more; the last of it is copied, and what was touched compared.
//  5. The source is marked as moved, the target as complete. From here on the files are history.
// Whatever fails before 5 leaves the source as it was, and in use.

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "store-service/database/sql/write_gate.h"
#include "store-service/move/source.h"
#include "store-service/move/target.h"
#include "store-service/move/tracked_database.h"

namespace posthorn::store_service {

struct MoveProgress {
  enum class Phase { kCheck, kCopy, kCatchUp, kCompare, kStop, kDone };
  Phase phase = Phase::kCheck;
  std::string table;  // "": none
  uint64_t done = 0;  // rows
  uint64_t total = 0;
  std::string note;  // in words: a warning, the verdict; "": just numbers
};

struct MoveOptions {
  std::vector<MoveSource::File> files;
  mysql::Options target;
  std::string url;   // as the operator gave it
  std::string data;  // the store's folder, for the mark
  // The folder of the message files when it is one that needs a registry from now on; "": none.
  std::string blobs;
};

struct MoveResult {
  uint64_t rows = 0;
  uint64_t messages = 0;
  int64_t copy_ms = 0;  // of everything, while mail flowed
  int64_t stop_ms = 0;  // nothing was written so long before the verdict
};

class Move {
 public:
  // What writes to the source. Both outlive this.
  struct Writers {
    TrackedDatabase& mail;
    sql::WriteGate& others;
  };
  // `tell` runs on the thread of Run().
  Move(MoveOptions options, Writers writers, std::function<void(const MoveProgress&)> tell,
       const std::atomic<bool>& cancelled);

  // Blocks. After OK writing stays closed for good. kUnknown: it may have happened; writing stays
  // closed too. Otherwise the source goes on as if nothing had happened.
  absl::StatusOr<MoveResult> Run();

  // Tests: runs before each part is copied, and once everything is closed.
  std::function<void()> before_part;
  std::function<absl::Status()> while_stopped;

 private:
  using Phase = MoveProgress::Phase;
  absl::Status Check();
  absl::Status CopyAll();
  absl::Status CopyPart(const MoveTable& table, std::string_view where);
  absl::Status CopyLed(MoveLead lead);
  // Tables that are copied as a whole, as far as they are not yet what the source has now.
  absl::Status RefreshSmall();
  absl::Status CatchUp();
  absl::Status Apply(const MoveKeys& keys);
  // Both sides, part by part; what differs is remembered for the comparison after the stop.
  absl::Status CompareAll();
  absl::Status ComparePart(const MoveTable& table, const MoveRange& range);
  absl::Status CompareTouched();
  absl::Status CompareTouchedOf(const MoveTable& table, const std::set<uint64_t>& leads);
  absl::Status CompareCounts();
  absl::Status CompareSmall();
  absl::Status Stop();
  absl::Status Finish();
  absl::Status SayLastWord();
  absl::Status NameMessageFolder();

  // kCancelled; kDeadlineExceeded when nothing was written for too long.
  absl::Status MayGoOn() const;
  bool StoppedForLong() const;
  void Tell(Phase phase, const MoveTable* table, std::string note = "");
  void Count(const MoveTable& table, uint64_t rows);

  const MoveOptions options_;
  const Writers writers_;
  const std::function<void(const MoveProgress&)> tell_;
  const std::atomic<bool>& cancelled_;
  std::unique_ptr<MoveSource> source_;
  std::unique_ptr<MoveTarget> target_;
  std::string installation_;
  std::map<const MoveTable*, MoveSum> small_;  // what the target holds of the small tables
  std::map<const MoveTable*, MoveSum> small_compared_;
  std::map<const MoveTable*, std::set<uint64_t>> touched_;  // since, or unlike, the comparison
  bool stopped_ = false;
  std::chrono::steady_clock::time_point stopped_at_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  std::chrono::steady_clock::time_point told_;
  MoveResult result_;
};

}  // namespace posthorn::store_service
