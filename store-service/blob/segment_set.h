#pragma once

// All segments of a store, wherever they are noted. LocalSegmentSet: one store has the folder for
// itself; SharedSegmentSet: several have it together. Any thread.
//   DIR/segments/*.seg     the segments
// Invariants:
//  1. A number is never used twice.
//  2. What is noted names a new form of a segment before the old form is unlinked.

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"
#include "store-service/blob/blob_marks.h"
#include "store-service/blob/segment.h"

namespace posthorn::store_service {

class SegmentSet : public BlobMarks {
 public:
  // Who may still write to a segment: this store, another, or nobody for ever.
  enum class Holder { kThis, kOther, kFinal };
  // A name for the next form of a segment, which nobody else writes.
  struct Form {
    std::string path;
    uint32_t generation = 0;
  };

  // Opens what is there; makes the directory when it is missing.
  virtual absl::Status Load() = 0;
  // Notes what is known and will not be known to the next start otherwise. No calls after it.
  virtual void Close() = 0;

  // A new, open segment whose name is durable; the caller's alone until it is sealed.
  virtual absl::StatusOr<std::shared_ptr<Segment>> Add() = 0;
  // Open segments to go on with, oldest first.
  virtual std::vector<std::shared_ptr<Segment>> OpenOnes() = 0;

  // For reading by key. kNotFound when there is no such segment, kDataLoss when its file cannot be
  // used.
  virtual absl::StatusOr<std::shared_ptr<Segment>> Find(uint64_t number) = 0;
  // After a read that failed: true when the segment may be in another form now, or longer: read
  // again; false: nothing changed, what was read stands. An error is what is to be said instead:
  // kUnavailable when nobody can be asked, which must never be told as "no such blob".
  virtual absl::StatusOr<bool> Renew(uint64_t number) = 0;
  // Learns what others did since.
  virtual absl::Status Refresh() = 0;
  virtual std::vector<uint64_t> Numbers() = 0;
  // For walking: durable_end() ends what was committed. As Find.
  virtual absl::StatusOr<std::shared_ptr<Segment>> FindWhole(uint64_t number) = 0;
  virtual BlobStats Stats() = 0;  // segments and bytes

  // The collector's, one at a time. Only kFinal ones are rewritten and removed.
  virtual Holder HolderOf(const Segment& segment) = 0;
  virtual absl::Status Remove(const std::shared_ptr<Segment>& segment) = 0;
  virtual absl::StatusOr<Form> NextForm(const Segment& segment) = 0;
  // Puts `fresh`, a complete and synced file under the name NextForm gave, in the place of the old
  // form.
  virtual absl::Status Replace(const std::shared_ptr<Segment>& fresh, const Form& form) = 0;
  // Ends what the dead left open, unlinks old forms nobody reads any more.
  virtual absl::Status Tidy() = 0;

  const std::string& segments_directory() const { return segments_directory_; }
  file::FileSystem& system() { return system_; }

 protected:
  SegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage);
  std::string PathOf(uint64_t number, uint32_t generation) const;

  file::FileSystem& system_;
  const std::string directory_;
  const std::string segments_directory_;
};

}  // namespace posthorn::store_service
