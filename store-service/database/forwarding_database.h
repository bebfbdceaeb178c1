#pragma once

// A database whose writes go to a Target that has the same functions: another database, or the part
// of an engine that writes. Derived classes add what they do differently.

#include <vector>

#include "store-service/database/database.h"

namespace posthorn::store_service {

template <class Target>
class ForwardingDatabase : public Database {
 public:
  absl::Status Commit(const Fence& fence, const WriteBatch& batch) override {
    return target_.Commit(fence, batch);
  }
  absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner,
                                      int64_t lease_ms) override {
    return target_.AcquireLane(lane, owner, lease_ms);
  }
  absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms) override {
    return target_.RenewLanes(lanes, lease_ms);
  }
  absl::Status ReleaseLane(uint32_t lane, uint64_t epoch) override {
    return target_.ReleaseLane(lane, epoch);
  }
  absl::StatusOr<LaneRow> ReadLane(uint32_t lane) override { return target_.ReadLane(lane); }
  absl::StatusOr<ClusterRows> Beat(const ReplicaRow& me) override { return target_.Beat(me); }
  absl::Status TakeName(const ReplicaRow& me, const ReplicaRow& last) override {
    return target_.TakeName(me, last);
  }
  absl::Status Leave(const ReplicaRow& me) override { return target_.Leave(me); }
  absl::StatusOr<bool> PruneDeliveries(const Fence& fence, int64_t before_ms,
                                       uint32_t limit) override {
    return target_.PruneDeliveries(fence, before_ms, limit);
  }
  absl::StatusOr<bool> PruneExpunges(const Fence& fence, int64_t before_ms,
                                     uint32_t limit) override {
    return target_.PruneExpunges(fence, before_ms, limit);
  }
  absl::StatusOr<bool> PurgeDropped(const Fence& fence, uint32_t limit) override {
    return target_.PurgeDropped(fence, limit);
  }
  absl::StatusOr<bool> EraseAccount(const Fence& fence, AccountId account, int64_t now_ms,
                                    uint32_t limit) override {
    return target_.EraseAccount(fence, account, now_ms, limit);
  }
  absl::Status PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) override {
    return target_.PutSuspects(fence, rows);
  }
  absl::Status Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                       int64_t now_ms) override {
    return target_.Condemn(fence, blob_keys, now_ms);
  }
  absl::Status MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                             int64_t now_ms, int64_t keep_ms) override {
    return target_.MarkDestroyed(fence, blob_keys, now_ms, keep_ms);
  }

 protected:
  // `target` outlives this, or is owned by the derived class.
  explicit ForwardingDatabase(Target& target) : target_(target) {}

 private:
  Target& target_;
};

}  // namespace posthorn::store_service
