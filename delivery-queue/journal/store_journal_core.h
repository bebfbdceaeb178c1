#pragma once

// What drives a journal in the store (store_journal.h): one batch on its way at a time, the lease's
// renewal, and the taking over of journals whose replicas died. On the loop. Shared with the
// coroutines, which may still stand in the loop when the journal has gone.

#include <time.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "delivery-queue/journal/store_journal.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "posthorn/store/v1/queue_journal.pb.h"

namespace posthorn::delivery_queue {

// Goes on while the machine sleeps, as the database's clock does.
inline std::chrono::milliseconds BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::duration_cast<std::chrono::milliseconds>(
                                                std::chrono::nanoseconds(now.tv_nsec));
}

// Between tries: from the first, doubled, to the longest.
inline constexpr std::chrono::milliseconds kFirstPause{50};
inline constexpr std::chrono::milliseconds kLongestPause{1000};
inline constexpr std::chrono::milliseconds kReadLimit{20000};
// A completion waits so long for a batch to ride in.
inline constexpr std::chrono::milliseconds kRidesAtMost{1000};

inline rpc::CallOptions Within(std::chrono::milliseconds limit) {
  rpc::CallOptions options;
  options.timeout = limit;
  return options;
}

// Another has the journal: nothing may be written in our name any more.
inline bool EpochOver(const absl::Status& status) { return absl::IsFailedPrecondition(status); }

inline constexpr char kJournalStream[] = "queue-journal";

void SetKey(store::v1::QueueRecordKey& to, const EntryKey& key);
EntryKey KeyOf(const store::v1::QueueRecordKey& key);

// A journal whose records are being moved here.
struct Adoption {
  store::v1::QueueLease lease;
  bool closed = false;
  store::v1::LoadQueueRecordsReply page;
};

class StoreJournalCore {
 public:
  StoreJournalCore(net::Loop& loop, rpc::Client& store, StoreJournalOptions options)
      : loop_(loop), store_(store), options_(std::move(options)), wake_(loop), ended_(loop) {}

  static net::Task<absl::Status> Open(std::shared_ptr<StoreJournalCore> self);
  static net::Task<void> Run(std::shared_ptr<StoreJournalCore> self);
  static net::Task<void> Renew(std::shared_ptr<StoreJournalCore> self);
  static net::Task<absl::StatusOr<std::string>> Read(std::shared_ptr<StoreJournalCore> self,
                                                     EntryKey key);
  static net::Task<absl::Status> ForEach(std::shared_ptr<StoreJournalCore> self,
                                         Journal::Visit visit);
  static net::Task<void> Close(std::shared_ptr<StoreJournalCore> self);

  enum class Kind { kNew, kChange, kDone };
  void Add(Kind kind, EntryKey key, uint64_t blob, std::string record, Journal::Stored stored,
           std::chrono::milliseconds within);
  void SetHeir(Journal::Heir heir) { heir_ = std::move(heir); }
  void Stop();
  absl::Status Ready() const;
  // Who ends lets go of the lease soon, and notes nothing behind that.
  std::chrono::milliseconds LeaseLeft() const {
    return over_ || closing_ ? std::chrono::milliseconds(0) : lease_until_ - BootTime();
  }
  const std::string& id() const { return lease_.journal_id(); }
  bool interrupted() const { return interrupted_; }

 private:
  struct Operation {
    Kind kind;
    EntryKey key;
    uint64_t blob;
    std::string record;
    Journal::Stored stored;
  };
  using Operations = std::vector<Operation>;
  bool Due() const { return !pending_.empty() && (closing_ || BootTime() >= start_at_); }
  net::Task<void> WaitUntilDue();
  Operations Take();
  store::v1::AppendQueueRecordsRequest ToRequest(const Operations& taken) const;
  net::Task<absl::Status> Send(store::v1::AppendQueueRecordsRequest request);
  void Answer(Operations taken, const absl::Status& status);
  void FailWhatIsNew();
  void Over(std::string_view why);
  void Renewed(std::chrono::milliseconds sent) {
    lease_until_ = std::max(lease_until_, sent + lease_length_);
    if (std::exchange(away_, false)) claims_from_ = BootTime() + options_.grace;
  }
  bool MayClaim() const {
    return claimable_ && BootTime() >= claims_from_ && !closing_ && !adoption_ && heir_.visit;
  }
  net::Task<void> Claim();
  net::Task<void> LoadAdopted();
  void Inherit();

  net::Loop& loop_;
  rpc::Client& store_;
  const StoreJournalOptions options_;
  store::v1::QueueLease lease_;
  uint64_t batch_ = 0;
  bool interrupted_ = false;
  std::chrono::milliseconds lease_length_{0};
  std::chrono::milliseconds lease_until_{0};
  std::deque<Operation> pending_;
  std::chrono::milliseconds start_at_ =
      std::chrono::milliseconds::max();  // max: nothing is pending
  net::Signal wake_;
  net::Signal ended_;  // Run came back
  bool running_ = false;
  bool away_ = false;
  bool closing_ = false;
  bool over_ = false;
  bool claimable_ = false;
  std::chrono::milliseconds claims_from_{0};
  Journal::Heir heir_;
  std::optional<Adoption> adoption_;
};

}  // namespace posthorn::delivery_queue
