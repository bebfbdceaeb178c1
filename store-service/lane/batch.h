#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "store-service/database/write_batch.h"
#include "store-service/lane/delta.h"
#include "store-service/lane/operation.h"

namespace posthorn::store_service {

// What is collected for one transaction. The committer's thread reads `rows` and `fence`, and sets
// `commit_us`.
struct Batch {
  uint64_t number = 0;
  WriteBatch rows;
  Fence fence;
  std::vector<DeltaPtr> deltas;  // in order of application
  struct Entry {
    std::unique_ptr<Operation> operation;
    absl::Status result;
  };
  std::vector<Entry> entries;  // in order; answered after the commit
  std::set<AccountId> accounts;
  size_t changes = 0;  // operations that wrote something
  // For measuring: when it was committed (milliseconds since 1970), and how long that took.
  int64_t committed_ms = 0;
  int64_t commit_us = 0;
};

// Told of every committed batch, in order, on the loop, before its callers are answered.
class CommitObserver {
 public:
  virtual ~CommitObserver() = default;
  virtual void OnCommitted(const Batch& batch) = 0;
  // Another owner has the lane now: what is known of its accounts is no longer kept current here.
  virtual void OnLaneLost(uint32_t lane) = 0;
  // A batch of this account failed, and whatever became of it is settled now: of what the database
  // holds something may never come as a batch.
  virtual void OnDoubt(AccountId) {}
  // The lane is ours from now on; others may have written before.
  virtual void OnLaneTaken(uint32_t) {}
};

}  // namespace posthorn::store_service
