#pragma once

// Accepted mail until it is delivered: what is due, who delivers it, what becomes of the outcome.
// Invariants
//  1. An entry is answered only after the journal has it; it leaves the journal only when every recipient is done.
//  2. The expansion of aliases and lists is journalled before the first Deliver, and happens once.
//  3. What an entry begets (a DSN) is journalled before its parent forgets the failure.
//  4. Only entries that are due are in memory with their text; the others cost an index entry each.
// Everything runs on the loop.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "delivery-queue/core/expansion.h"
#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/core/retry_schedule.h"
#include "delivery-queue/journal/journal.h"
#include "delivery-queue/local/local_delivery.h"
#include "lib/net/loop.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {

class MailQueue {
 public:
  struct Parts {
    net::Loop& loop;
    Journal& journal;
    Directory& directory;
    LocalDelivery& local;
    RemoteDelivery& remote;
    ReportWriter& reports;
    std::function<void(common::v1::Event)> record;
  };
  struct Limits {
    size_t active = 5000;           // entries in memory with their text
    uint64_t entries = 5'000'000;   // kResourceExhausted beyond
    RetrySchedule retry;
  };
  MailQueue(Parts parts, Limits limits);
  ~MailQueue();

  // Reads what an earlier run left. Before the first Accept.
  net::Task<absl::Status> Recover();
  // Everything ends where it stands, because the journal is another's: nothing is handed out or noted any more, and
  // callers get kUnavailable.
  void Stop();
  // `answer` on the loop, once, when the entry is durable or refused: kInvalidArgument, kFailedPrecondition (older
  // than 10 minutes), kResourceExhausted. A message id that is here already is answered OK.
  void Accept(queue::v1::Entry entry, std::function<void(absl::Status)> answer);

  void SetRetry(RetrySchedule retry) { limits_.retry = std::move(retry); }
  enum class Action { kRetry, kHold, kRelease, kRemove, kBounce };
  // False when the key is unknown or finished.
  net::Task<bool> Act(EntryKey key, Action action);
  // Keys in order, after `after`.
  std::vector<EntryKey> Keys(const EntryKey* after, size_t limit) const;
  // The newest state, from memory or the journal; kNotFound when finished meanwhile.
  net::Task<absl::StatusOr<queue::v1::StoredEntry>> Look(EntryKey key);
  // The oldest unfinished message id, 16 bytes; 16 bytes of 255 when there is none.
  std::string Oldest() const;
  // Which of these blob keys are still needed.
  std::vector<uint64_t> Held(const std::vector<uint64_t>& blobs) const;

  struct Counts {
    uint64_t entries = 0;
    uint64_t active = 0;
    uint64_t held = 0;
    // Recipients that are not finished: of active entries, and of those that wait for their next attempt.
    uint64_t recipients_ready = 0;
    uint64_t recipients_deferred = 0;
    int64_t oldest_ms = 0;  // 0: nothing waits
    uint64_t bytes = 0;     // of memory, about
  };
  Counts counts() const;
  std::string journal_id() const { return parts_.journal.id(); }

 private:
  struct Active;
  struct Slot {
    std::shared_ptr<Active> active;
    int64_t due_ms = 0;
    uint64_t blob = 0;
    bool held = false;
    bool durable = false;
    uint32_t open = 0;  // recipients that are not finished
  };
  using ActivePtr = std::shared_ptr<Active>;

  absl::Status CheckNew(const queue::v1::Entry& entry) const;
  void Run(ActivePtr active);
  net::Task<void> ExpandAndRun(ActivePtr active);
  void Dispatch(ActivePtr active);
  static void BeginAttempt(Active& active);
  void DispatchLocal(const ActivePtr& active, int recipient);
  void DispatchRemote(const ActivePtr& active);
  void OnLocal(const ActivePtr& active, int recipient, LocalOutcome outcome);
  void OnRemote(const ActivePtr& active, int recipient, const RemoteOutcome& outcome);
  void PutOff(const Active& active, int recipient);
  void Settle(ActivePtr active);
  net::Task<void> Bounce(ActivePtr active, std::vector<int> failed);
  std::vector<int> Late(const Active& active) const;
  net::Task<void> TellDelay(ActivePtr active, std::vector<int> late);
  std::optional<int64_t> NextDue(const queue::v1::StoredEntry& stored) const;
  void Defer(const ActivePtr& active, int64_t due_ms);
  void Finish(const ActivePtr& active);
  void Save(const ActivePtr& active, Journal::Stored stored);
  void AddSlot(const EntryKey& key, Slot slot);
  void SetDue(const EntryKey& key, Slot& slot, int64_t due_ms);
  void Erase(const EntryKey& key);
  // Every change of what counts() tells goes through this one.
  void Change(Slot& slot, const std::function<void(Slot&)>& change);
  void Tally(const Slot& slot, int64_t sign);
  // An entry of a replica that died, in the order of keys.
  void Inherit(EntryKey key, const std::string& record);
  void BeginInherited();
  void PumpDue();
  net::Task<void> Load(EntryKey key);
  void ArmTimer();
  void Note(const Active& active, common::v1::Event::Step step, common::v1::Event::Outcome outcome, int recipient,
            std::string_view text, std::string_view peer);

  Parts parts_;
  Limits limits_;
  std::map<EntryKey, Slot> slots_;
  std::multimap<int64_t, EntryKey> due_;        // not active, not held
  std::unordered_map<uint64_t, uint32_t> blobs_;  // blob key → entries that need it
  Counts counts_;  // without oldest_ms and bytes
  // Text of active entries; shared with them, who may outlive this.
  std::shared_ptr<uint64_t> active_bytes_ = std::make_shared<uint64_t>(0);
  std::unique_ptr<net::Loop::Timer> timer_;
  int64_t timer_at_ = 0;
  // The last inherited message, when its pages do not count: it begins when all of them were told.
  struct Unexpanded {
    EntryKey key;
    int64_t due_ms = 0;
  };
  std::optional<Unexpanded> inherited_unexpanded_;
  uint64_t inherited_ = 0;
  uint64_t inherited_doubts_ = 0;  // their recipients elsewhere that may have been on their way
  std::shared_ptr<bool> alive_;
};

}  // namespace posthorn::delivery_queue
