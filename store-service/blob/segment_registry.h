#pragma once

// Which segments there are when several stores share them, and what they are called. Every change
// is durable when it returns OK, and seen by all. Calls block and may come from any thread.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace posthorn::store_service {

enum class SegmentState : uint8_t {
  kTaken = 0,    // the number is given; nothing depends on its file yet
  kOpen = 1,     // its writer appends
  kSeized = 2,   // taken from a writer that is gone; where it ends is not known yet
  kSealed = 3,   // `sealed` bytes, for ever
  kRemoved = 4,  // its files are on their way out
};

struct SegmentRow {
  uint64_t number = 0;
  std::string writer;
  SegmentState state = SegmentState::kTaken;
  uint32_t generation = 0;  // of the name of the file that counts
  uint32_t reserved = 0;    // the highest generation anybody may have made a file of
  uint64_t sealed = 0;
  uint64_t doubtful = 0;   // see Segment::doubtful()
  int64_t changed_ms = 0;  // when the row was last changed
  uint64_t version = 0;    // counts its changes
  friend bool operator==(const SegmentRow&, const SegmentRow&) = default;
};

class SegmentRegistry {
 public:
  virtual ~SegmentRegistry() = default;
  // A number that nobody ever had or will have, as a row of kTaken.
  virtual absl::StatusOr<SegmentRow> Take(const std::string& writer) = 0;
  // kNotFound: no such segment, or no more.
  virtual absl::StatusOr<SegmentRow> Find(uint64_t number) = 0;
  // All, by number.
  virtual absl::StatusOr<std::vector<SegmentRow>> List() = 0;
  // Puts `row` in the place of the row it was read as and answers what it is now. kAborted:
  // somebody else changed or removed it since; nothing was done.
  virtual absl::StatusOr<SegmentRow> Update(SegmentRow row) = 0;
  // kAborted as for Update.
  virtual absl::Status Remove(const SegmentRow& row) = 0;
  // Takes the rows of a folder that one store had for itself, and never gives a number below
  // `next`. May be repeated. kFailedPrecondition: a number is another's already.
  virtual absl::Status Import(const std::vector<SegmentRow>& rows, uint64_t next) = 0;
  // The word that was said here first ("" says nothing): tells whether the folder (or bucket) is
  // the one all stores use.
  virtual absl::StatusOr<std::string> Identity(const std::string& proposed) = 0;
};

// For tests: several stores in one process.
class MemorySegmentRegistry : public SegmentRegistry {
 public:
  absl::StatusOr<SegmentRow> Take(const std::string& writer) override;
  absl::StatusOr<SegmentRow> Find(uint64_t number) override;
  absl::StatusOr<std::vector<SegmentRow>> List() override;
  absl::StatusOr<SegmentRow> Update(SegmentRow row) override;
  absl::Status Remove(const SegmentRow& row) override;
  absl::Status Import(const std::vector<SegmentRow>& rows, uint64_t next) override;
  absl::StatusOr<std::string> Identity(const std::string& proposed) override;

 protected:
  // After each change, under the lock.
  virtual void Changed(const std::map<uint64_t, SegmentRow>& /*rows*/, uint64_t /*next*/,
                       const std::string& /*identity*/) {}
  std::mutex mutex_;
  std::map<uint64_t, SegmentRow> rows_;
  uint64_t next_ = 1;
  std::string identity_;
};

}  // namespace posthorn::store_service
