#pragma once

// The one narrow face of the mail database; no SQL outside this folder. Invariants:
//  1. Every write is under the fence: a transaction that does not find its lanes' epochs unchanged
//  writes nothing.
//  2. Nothing is read and then written: what a batch writes was decided by the lane's owner.
//  3. All calls block. Commit and the lane calls come from one thread (the committer); snapshots
//  from any.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/rows.h"
#include "store-service/database/write_batch.h"

namespace posthorn::store_service {

// The guarded update with which a transaction begins: `batch` becomes the lane's batch if `epoch`
// still holds.
struct FencedLane {
  uint32_t lane = 0;
  uint64_t epoch = 0;
  uint64_t batch = 0;
};
using Fence = std::vector<FencedLane>;

// All that the lane keeps in memory of an account without its messages.
struct AccountImage {
  bool exists = false;  // false: no row yet; `row` has its first values
  AccountRow row;
  std::vector<MailboxRow> mailboxes;
  std::vector<KeywordRow> keywords;  // ordered by mailbox and bit
  std::vector<std::string> subscriptions;
  std::vector<OperationRow> operations;
};

// Where the bytes of a message lie.
struct MessagePlace {
  Uid uid = 0;
  uint64_t blob_key = 0;
  uint64_t blob_size = 0;
  std::string prefix;  // own and shared
};

struct DigestEntry {
  Uid uid = 0;
  uint32_t prefix_size = 0;
  uint64_t blob_key = 0;
  uint64_t blob_size = 0;
  std::string_view digest;  // valid during the call; empty: to be made from the bytes
};

// What the rows of one mailbox add up to, for `store check`.
struct MailboxTotals {
  uint32_t messages = 0;
  uint32_t unseen = 0;
  uint32_t deleted = 0;
  uint64_t size = 0;
  Uid highest_uid = 0;
  ModSeq highest_modseq = 0;
};

struct UidSpan {
  Uid first = 1;
  Uid last = UINT32_MAX;
};

// A consistent view of the database at one moment. One thread at a time; keep it short: it holds
// back the log.
class ReadSnapshot {
 public:
  virtual ~ReadSnapshot() = default;
  virtual absl::StatusOr<AccountImage> LoadAccount(AccountId account) = 0;
  virtual absl::StatusOr<std::optional<MailboxRow>> FindMailbox(AccountId account,
                                                                MailboxId mailbox) = 0;
  virtual absl::StatusOr<std::vector<KeywordRow>> Keywords(AccountId account,
                                                           MailboxId mailbox) = 0;
  // Rows changed after `since`, ordered by uid.
  virtual absl::Status ReadColumns(AccountId account, MailboxId mailbox, ModSeq since,
                                   const std::function<void(const MessageColumns&)>& row) = 0;
  // Expunged after `since`, ordered by modseq.
  virtual absl::Status ReadExpunged(AccountId account, MailboxId mailbox, ModSeq since,
                                    const std::function<void(Uid)>& gone) = 0;
  virtual absl::StatusOr<std::optional<DeliveryRow>> FindDelivery(const DeliveryKey& key) = 0;
  virtual absl::StatusOr<std::optional<MessagePlace>> FindPlace(AccountId account,
                                                                MailboxId mailbox, Uid uid) = 0;
  // Ordered by uid; `place` returns false to stop.
  virtual absl::Status ReadPlaces(AccountId account, MailboxId mailbox, UidSpan uids,
                                  const std::function<bool(MessagePlace)>& place) = 0;
  // Ordered by uid; `entry` returns false to stop.
  virtual absl::Status ReadDigests(AccountId account, MailboxId mailbox, UidSpan uids,
                                   const std::function<bool(const DigestEntry&)>& entry) = 0;

  // Who is there and who owns what: as Beat, without a word of one's own.
  virtual absl::StatusOr<ClusterRows> ReadCluster() = 0;

  // For `store check` and the collector, ordered by account.
  virtual absl::StatusOr<std::vector<AccountRow>> Accounts(AccountId after, uint32_t limit) = 0;
  virtual absl::StatusOr<MailboxTotals> Totals(AccountId account, MailboxId mailbox) = 0;
  // Blobs that rows refer to (messages and the expunge log), with repeats.
  virtual absl::Status ReadReferences(const std::function<void(uint64_t blob_key)>& blob) = 0;
  virtual absl::StatusOr<std::vector<SuspectRow>> Suspects() = 0;
  // Condemned before `before_ms` and not destroyed yet.
  virtual absl::StatusOr<std::vector<uint64_t>> Condemned(int64_t before_ms) = 0;
};

struct DatabaseServer {
  std::string engine;  // "MariaDB 10.11.6 (Galera, 3 nodes)"; without the rest when it is away
  std::string place;   // a file, or "USER@HOST:PORT,…/NAME"
  std::string node;    // that is written to, "HOST:PORT"; empty for a file
};

class Database {
 public:
  virtual ~Database() = default;

  // All or nothing, durable when it returns OK. kAborted: the fence failed. kAlreadyExists: a
  // unique key was taken. kResourceExhausted: disk full. kUnknown: it may or may not have happened,
  // read the lanes.
  virtual absl::Status Commit(const Fence& fence, const WriteBatch& batch) = 0;
  // Takes the lane when nobody holds it, its lease ran out or `owner` holds it: a new epoch.
  // kFailedPrecondition: another owner's lease still runs.
  virtual absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner,
                                              int64_t lease_ms) = 0;
  // Prolongs; kAborted when one of them was taken over.
  virtual absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms) = 0;
  // Lets go at once; nothing happens when it was taken over already.
  virtual absl::Status ReleaseLane(uint32_t lane, uint64_t epoch) = 0;
  virtual absl::StatusOr<LaneRow> ReadLane(uint32_t lane) = 0;
  // Says that the replica `me` is there and reads everybody's word; the times are filled in.
  // Replicas that were silent for a day are forgotten. kAlreadyExists: another process has the name;
  // nothing was written.
  virtual absl::StatusOr<ClusterRows> Beat(const ReplicaRow& me) = 0;
  // Gives the name of `me` to its instance, if the row is still what `last` says of a process that
  // died. kAborted: it is not.
  virtual absl::Status TakeName(const ReplicaRow& me, const ReplicaRow& last) = 0;
  // The replica is gone on purpose; nothing happens when another process has its name.
  virtual absl::Status Leave(const ReplicaRow& me) = 0;
  // Under the fence; false when fewer than `limit` were there. Journal ids older than both may be
  // forgotten.
  virtual absl::StatusOr<bool> PruneDeliveries(const Fence& fence, int64_t before_ms,
                                               uint32_t limit) = 0;
  // Expunge log entries older than `before_ms`: their blobs are no longer referenced.
  virtual absl::StatusOr<bool> PruneExpunges(const Fence& fence, int64_t before_ms,
                                             uint32_t limit) = 0;

  // What remains of deleted mailboxes and accounts goes in steps, each under the fence and of at
  // most about `limit` rows; true: call again. Messages go to the expunge log, which keeps their
  // bytes for the undelete window.
  virtual absl::StatusOr<bool> PurgeDropped(const Fence& fence, uint32_t limit) = 0;
  // Everything of an account that has no state in memory; its own row comes last. kUnavailable: its
  // lane is not in the fence.
  virtual absl::StatusOr<bool> EraseAccount(const Fence& fence, AccountId account, int64_t now_ms,
                                            uint32_t limit) = 0;

  // The collector's rows, each under the fence. Suspects are replaced as a whole; the condemned are
  // final: from then on a batch that refers to one fails with kNotFound. Destroyed blobs lose their
  // body rows; the mark that they were condemned goes `keep_ms` later.
  virtual absl::Status PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) = 0;
  virtual absl::Status Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                               int64_t now_ms) = 0;
  virtual absl::Status MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                     int64_t now_ms, int64_t keep_ms) = 0;

  // Any thread.
  virtual absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() = 0;
  // For `posthorn status`: servers that are away and settings with which acknowledged mail could be
  // lost, in words. Any thread; may block for seconds.
  virtual std::vector<std::string> Warnings() = 0;
  // What it is, for the same. Any thread; may block for seconds.
  virtual DatabaseServer Server() = 0;
};

}  // namespace posthorn::store_service
