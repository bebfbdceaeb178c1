#pragma once

// All segments of a directory, and the table that says which count. Any thread.
//   DIR/segments.table     the table
//   DIR/segments/*.seg     the segments
// Invariants:
//  1. A number is never used twice.
//  2. The table names a new form of a segment before the old form is unlinked.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/directory_lock.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment.h"
#include "store-service/blob/segment_table.h"

namespace posthorn::store_service {

class SegmentSet {
 public:
  // Called once for each damaged place, on the thread that met it.
  using OnDamage = std::function<void(const BlobDamage&)>;

  SegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage);
  // Opens what is there; makes the directory when it is missing. kDataLoss: the table itself is
  // damaged.
  absl::Status Load();

  // A new, open segment whose name is durable.
  absl::StatusOr<std::shared_ptr<Segment>> Add();
  // Open segments, oldest first.
  std::vector<std::shared_ptr<Segment>> OpenOnes();

  // Null when there is no such segment.
  std::shared_ptr<Segment> Find(uint64_t number);
  std::vector<std::shared_ptr<Segment>> All();
  bool IsDead(uint64_t key);
  void AddDead(const std::vector<uint64_t>& keys);
  // All keys of `number` that were declared dead.
  std::unordered_set<uint64_t> DeadOf(uint64_t number);
  void DropDead(uint64_t number);

  // Drops a segment from table and disk.
  absl::Status Remove(const std::shared_ptr<Segment>& segment);
  // Puts `fresh`, a complete and synced file of the next generation, in the place of the old form.
  absl::Status Replace(const std::shared_ptr<Segment>& fresh);
  std::string PathOf(uint64_t number, uint32_t generation) const;
  const std::string& segments_directory() const { return segments_directory_; }
  file::FileSystem& system() { return system_; }

  void NoteDamage(uint64_t segment, uint64_t offset, std::string what);
  std::vector<BlobDamage> Damage();

 private:
  absl::Status LoadTable(const std::vector<std::string>& names);
  absl::Status OpenNamed(uint64_t number);
  absl::Status Adopt(const std::vector<std::string>& names);
  absl::Status SaveTable();  // with table_mutex_

  file::FileSystem& system_;
  const std::string directory_;
  const std::string segments_directory_;
  const OnDamage on_damage_;

  std::unique_ptr<file::DirectoryLock> lock_;
  std::mutex table_mutex_;  // taken before mutex_
  SegmentTable table_;

  std::shared_mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Segment>> segments_;
  std::map<uint64_t, std::unordered_set<uint64_t>> dead_;

  std::mutex damage_mutex_;
  std::map<std::pair<uint64_t, uint64_t>, std::string> damage_;
};

}  // namespace posthorn::store_service
