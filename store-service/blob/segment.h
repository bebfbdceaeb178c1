#pragma once

// One segment file. Reading may happen on any thread; writing is the business of one owner at a
// time. Invariants:
//  1. Readers see only what lies below durable_end().
//  2. After a failed sync the segment is sealed: nothing is written or synced any more.
//  3. A rewritten segment answers to the offsets of the first one, through its map.

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/file/file_system.h"
#include "store-service/blob/record.h"

namespace posthorn::store_service {

// What a walk over a segment met.
struct Found {
  uint64_t offset = 0;           // in this file
  uint64_t original_offset = 0;  // as keys have it
  RecordHeader header;
  bool damaged = false;  // no header here: bytes up to `resumed` were skipped
  uint64_t resumed = 0;
};

class Segment {
 public:
  // Makes the file and writes its head; nothing is synced.
  static absl::StatusOr<std::shared_ptr<Segment>> Create(file::FileSystem& system,
                                                         const std::string& path,
                                                         const SegmentHead& head);
  // kDataLoss when the head is damaged or is another's. `sealed` 0: an open one, Recover() it
  // before use.
  static absl::StatusOr<std::shared_ptr<Segment>> Open(file::FileSystem& system,
                                                       const std::string& path, uint64_t number,
                                                       uint64_t sealed);
  // The same from what was opened already; it has its final `size`.
  static absl::StatusOr<std::shared_ptr<Segment>> OpenSealed(std::unique_ptr<file::File> file,
                                                             const std::string& path,
                                                             uint64_t number, uint64_t size);
  // One that somebody else may be writing: everything in the file so far can be read, also what is
  // not committed yet. Read only keys that were handed out, or Examine() it and walk.
  static absl::StatusOr<std::shared_ptr<Segment>> OpenOthers(file::FileSystem& system,
                                                             const std::string& path,
                                                             uint64_t number);

  uint64_t number() const { return head_.number; }
  uint32_t generation() const { return head_.generation; }
  uint32_t salt() const { return head_.salt; }
  int64_t created_ms() const { return head_.created_ms; }
  bool OlderThan(int64_t ms) const {  // 0: never
    return ms > 0 && base::WallMillis() - head_.created_ms > ms;
  }
  const std::string& path() const { return path_; }
  uint64_t durable_end() const { return durable_end_.load(std::memory_order_acquire); }
  bool sealed() const { return sealed_.load(std::memory_order_acquire); }
  // From here on records may be of a commit that was never finished; 0: none.
  uint64_t doubtful() const { return doubtful_; }
  void set_doubtful(uint64_t offset) { doubtful_ = offset; }
  void Seal() { sealed_.store(true, std::memory_order_release); }
  file::File& file() { return *file_; }
  // Asked after each sync and before anybody is answered: an error fails the commit and seals the
  // segment. Set by its owner before the first commit.
  void set_fence(std::function<absl::Status()> fence) { fence_ = std::move(fence); }

  // After a start: finds the last valid commit mark, cuts what follows, reports bad records before
  // it to `damage`. When the last commit itself is not whole the segment is sealed and doubtful()
  // says from where on.
  absl::Status Recover(const std::function<void(const Found&)>& damage);
  // The same without changing anything: durable_end() becomes the end of the last commit, and
  // doubtful() its beginning when it is not whole.
  absl::Status Examine(const std::function<void(const Found&)>& damage);
  // Walks the records below durable_end(); stops when `visit` returns false.
  absl::Status Walk(const std::function<bool(const Found&)>& visit) {
    return WalkBetween(kFirstRecord, durable_end(), visit);
  }

  // The owner's: writes `pieces` at the end and a commit mark after them, syncs as `sync_name`.
  // On failure nothing is added; after a failed sync, or when it cannot be cut back, the segment is
  // sealed.
  absl::Status Commit(std::vector<std::string_view> pieces, uint64_t bytes,
                      std::string_view sync_name);
  // The owner's: forgets bytes written past the end.
  void CutBack();

  // The header of the message whose key has `original_offset`, and where it lies. kNotFound,
  // kDataLoss.
  absl::StatusOr<std::pair<RecordHeader, uint64_t>> Locate(uint64_t original_offset);
  // Where a record lies in this file; nothing when the map does not know it.
  std::optional<uint64_t> Place(uint64_t original_offset) const;

 private:
  Segment(std::unique_ptr<file::File> file, std::string path, SegmentHead head)
      : file_(std::move(file)), path_(std::move(path)), head_(head) {}
  static absl::StatusOr<std::shared_ptr<Segment>> ReadHead(std::unique_ptr<file::File> file,
                                                           const std::string& path,
                                                           uint64_t number);
  // `from` must be where a record begins.
  absl::Status WalkBetween(uint64_t from, uint64_t end,
                           const std::function<bool(const Found&)>& visit);
  absl::StatusOr<uint64_t> Resume(uint64_t from, uint64_t end);
  absl::StatusOr<bool> WholeBetween(uint64_t from, uint64_t to);
  absl::Status LoadMap();
  uint64_t OriginalOf(uint64_t offset) const;

  const std::unique_ptr<file::File> file_;
  const std::string path_;
  const SegmentHead head_;
  std::atomic<uint64_t> durable_end_{kFirstRecord};
  std::atomic<bool> sealed_{false};
  uint64_t doubtful_ = 0;
  std::function<absl::Status()> fence_;
  std::vector<std::pair<uint64_t, uint64_t>> map_;       // (original, here), sorted
  std::vector<std::pair<uint64_t, uint64_t>> map_back_;  // (here, original), sorted
};

// Reads body and aux of a record and checks them. kDataLoss when they do not.
absl::Status CheckRecord(file::File& file, uint64_t offset, const RecordHeader& header);

}  // namespace posthorn::store_service
