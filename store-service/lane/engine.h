#pragma once

// The lanes of this store: one writer for each account. Operations are checked and applied to the
// accounts' state in memory, their rows gather in a batch, a committer's thread writes one batch at
// a time; then, in order: observers see the deltas, callers are answered. Invariants:
//  1. Everything except the committer's and the readers' calls runs on the loop; no locks.
//  2. Nobody is answered from state that is not durable: an operation that saw pending state waits
//  for its batch.
//  3. A failed batch takes its accounts out of memory; its operations run again, by halves, so that
//  a poisonous one
//     fails alone.
//  4. Operations of one account are applied in the order they were submitted.

#include <bitset>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "store-service/database/database.h"
#include "store-service/lane/account_memory.h"
#include "store-service/lane/batch.h"
#include "store-service/lane/change.h"
#include "store-service/lane/committer.h"
#include "store-service/lane/operation.h"

namespace posthorn::store_service {

struct LaneOptions {
  // Names the owner in the database; the same name takes its lanes back at once after a restart.
  std::string owner = "local";
  int64_t lease_ms = 15000;
  // After a lane was taken, what its last owner had promised to sessions is renewed before new
  // promises are made (POP3 locks).
  int64_t reclaim_ms = 0;
  // How long a batch waits for a database that fails over, before its callers are told.
  std::chrono::milliseconds patience{6000};
  size_t max_batch_changes = 512;
  size_t max_accounts = 50000;             // in memory
  size_t max_column_bytes = 256ULL << 20;  // in memory
  // Tests: runs on the committer's thread before each transaction.
  std::function<void()> before_commit;
};

class LaneEngine {
 public:
  // `database` and `readers` outlive the engine. Destroy it only after Stop().
  LaneEngine(net::Loop& loop, Database& database, net::BlockingPool& readers, LaneOptions options);
  ~LaneEngine();
  LaneEngine(const LaneEngine&) = delete;
  LaneEngine& operator=(const LaneEngine&) = delete;

  // Takes `lanes`; those another owner holds are left out (held() tells). Renews leases from then
  // on.
  net::Task<absl::Status> Acquire(std::vector<uint32_t> lanes);
  // Hand-over: no new operations for `lane`, waits for its batch, lets go.
  net::Task<absl::Status> Release(uint32_t lane);
  // Ours for certain: our own clock as well says that the lease still runs. Who was stopped for
  // longer than that answers nothing from what it remembers, before it has renewed.
  bool held(uint32_t lane) const;
  // Ours as far as we know.
  bool owned(uint32_t lane) const { return lanes_[lane].held && !lanes_[lane].leaving; }
  uint64_t epoch(uint32_t lane) const { return lanes_[lane].epoch; }
  // For its owner's word, its beats: `work` runs on the committer's thread between two batches.
  net::Task<absl::Status> Ask(std::function<absl::Status(Database&)> work);
  // Finishes what was submitted, then releases all lanes.
  net::Task<void> Stop();

  void AddObserver(CommitObserver* observer) { observers_.push_back(observer); }
  // kUnavailable through Done when the lane is not held.
  void Submit(std::unique_ptr<Operation> operation);
  // Runs `apply` as an operation; `needed` names the mailboxes whose columns it looks at.
  template <class R>
  net::Task<absl::StatusOr<R>> Run(AccountId account,
                                   std::function<std::vector<MailboxId>(AccountMemory&)> needed,
                                   std::function<absl::StatusOr<R>(Change&)> apply);
  // The account is going for good: no more operations (kPermissionDenied) while this engine lives.
  // Returns when those submitted before are answered and nothing of it is in memory.
  net::Task<void> Forget(AccountId account);
  // The last committed modseq of the account, made with its mailboxes when it is new.
  net::Task<absl::StatusOr<ModSeq>> Committed(AccountId account);
  // Runs `work` (a write that is not an operation) on the committer's thread between two batches,
  // with the fence of all lanes held.
  net::Task<absl::Status> Between(std::function<absl::Status(Database&, const Fence&)> work);
  net::BlockingPool& readers() { return *readers_; }
  Database& database() { return *database_; }
  const LaneOptions& options() const { return options_; }
  net::Loop& loop() { return *loop_; }
  // Accounts in memory, and bytes of their columns (metrics, tests).
  size_t accounts() const { return slots_.size(); }
  size_t column_bytes() const { return column_bytes_; }

 private:
  struct Lane {
    bool held = false;
    bool leaving = false;
    uint64_t epoch = 0;
    uint64_t batch = 0;
    int64_t sure_until_ms = 0;  // by our own clock
  };
  struct Slot {
    std::unique_ptr<AccountMemory> state;
    std::deque<std::unique_ptr<Operation>> waiting;
    enum class Phase { kReady, kLoading } phase = Phase::kReady;
    uint64_t last_batch = 0;  // the newest batch with state of this account
    uint64_t last_used = 0;
  };
  using Entries = std::vector<Batch::Entry>;

  Lane& LaneFor(AccountId account) { return lanes_[base::LaneOf(account)]; }
  bool Pending(const Slot& slot) const { return slot.last_batch > committed_; }
  void Drive(AccountId account);
  void Apply(Slot& slot, std::unique_ptr<Operation> operation);
  void ApplyTo(Batch& batch, Slot& slot, Operation& operation, absl::Status& result);
  void FailWaiting(Slot& slot, const absl::Status& status);
  MailboxId MissingColumns(Slot& slot, const Operation& operation);
  net::Task<absl::Status> LoadAccount(AccountId account);
  net::Task<absl::Status> LoadColumns(AccountId account, MailboxId mailbox);
  net::Task<void> LoadThenDrive(AccountId account, MailboxId mailbox);
  void Loaded(AccountId account, const absl::Status& status);

  void ScheduleCommit();
  void BeginCommit();
  net::Task<void> CommitCollected(std::shared_ptr<Batch> batch);
  net::Task<absl::Status> Execute(std::shared_ptr<Batch> batch);
  void Publish(Batch& batch);
  void Failed(std::shared_ptr<Batch> batch, const absl::Status& status);
  void DropState(const Batch& batch);
  void DriveAll(const std::vector<AccountId>& accounts);

  net::Task<void> Recover(std::deque<Entries> groups);
  net::Task<void> Settle(std::deque<Entries>& groups);
  net::Task<absl::Status> RunGroup(Entries& group, Entries& rest);
  net::Task<absl::Status> Prepare(Operation& operation);
  net::Task<absl::Status> FindLostLanes(std::bitset<base::kLanes> among);
  void LoseLane(uint32_t lane);
  void CountLanes();

  net::Task<void> RenewLeases();
  net::Task<absl::Status> RenewAll();
  // True for an operation of `account` that may begin; else our leases are renewed at once.
  bool MayBegin(AccountId account);
  void Evict();

  net::Loop* loop_;
  Database* database_;
  net::BlockingPool* readers_;
  LaneOptions options_;
  net::BlockingPool committer_;
  const std::shared_ptr<Committer> commits_;  // used on the committer's thread alone
  std::vector<Lane> lanes_;
  std::vector<CommitObserver*> observers_;
  std::unordered_map<AccountId, Slot> slots_;
  std::unordered_set<AccountId> gone_;
  std::vector<AccountId> stalled_;  // waiting for room in a batch
  std::set<AccountId> doubtful_;    // of a failed batch that is not settled
  std::shared_ptr<Batch> current_;
  std::shared_ptr<Batch> committing_;
  uint64_t committed_ = 0;
  uint64_t ticks_ = 0;
  size_t column_bytes_ = 0;
  bool commit_scheduled_ = false;
  bool recovering_ = false;
  bool renewing_ = false;
  net::Signal renew_now_;
  bool stopping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  net::Signal progress_;
};

template <class R>
class ClosureOperation final : public Operation {
 public:
  ClosureOperation(AccountId account, std::function<std::vector<MailboxId>(AccountMemory&)> needed,
                   std::function<absl::StatusOr<R>(Change&)> apply,
                   net::Promise<absl::StatusOr<R>> promise)
      : Operation(account),
        needed_(std::move(needed)),
        apply_(std::move(apply)),
        promise_(std::move(promise)) {}
  std::vector<MailboxId> NeededColumns(AccountMemory& state) const override {
    return needed_ ? needed_(state) : std::vector<MailboxId>();
  }
  absl::Status Apply(Change& change) override {
    result_ = apply_(change);
    return result_.status();
  }
  void Done(absl::Status status) override {
    promise_.Set(status.ok() ? std::move(result_) : absl::StatusOr<R>(std::move(status)));
  }

 private:
  std::function<std::vector<MailboxId>(AccountMemory&)> needed_;
  std::function<absl::StatusOr<R>(Change&)> apply_;
  net::Promise<absl::StatusOr<R>> promise_;
  absl::StatusOr<R> result_ = absl::UnknownError("not applied");
};

template <class R>
net::Task<absl::StatusOr<R>> LaneEngine::Run(
    AccountId account, std::function<std::vector<MailboxId>(AccountMemory&)> needed,
    std::function<absl::StatusOr<R>(Change&)> apply) {
  net::Promise<absl::StatusOr<R>> promise(*loop_);
  Submit(
      std::make_unique<ClosureOperation<R>>(account, std::move(needed), std::move(apply), promise));
  co_return co_await promise.Get();
}

}  // namespace posthorn::store_service
