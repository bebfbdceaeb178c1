#include "delivery-queue/journal/store_journal_core.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "delivery-queue/journal/journal_metrics.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {
namespace {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

constexpr milliseconds kAppendLimit{20000};
constexpr size_t kBatchBytes = 1 << 20;
constexpr size_t kBatchRecords = 1000;

// Nothing was written by this try, and the same would be refused again.
bool Refused(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status);
}

}  // namespace

void SetKey(v1::QueueRecordKey& to, const EntryKey& key) {
  to.set_message_id(std::string(key.message.bytes()));
  to.set_part(key.part);
}
EntryKey KeyOf(const v1::QueueRecordKey& key) {
  return {base::MessageId::FromBytes(key.message_id()).value_or(base::MessageId()), key.part()};
}

void StoreJournalCore::Add(Kind kind, EntryKey key, uint64_t blob, std::string record,
                           Journal::Stored stored, milliseconds within) {
  if (absl::Status ready = Ready(); over_ || (kind == Kind::kNew && !ready.ok())) {
    if (stored) loop_.Post([stored = std::move(stored), ready] { stored(ready); });
    return;
  }
  pending_.push_back({kind, key, blob, std::move(record), std::move(stored)});
  const milliseconds start = BootTime() + within;
  if (start >= start_at_) return;
  start_at_ = start;
  wake_.NotifyAll();
}

absl::Status StoreJournalCore::Ready() const {
  if (over_) return base::Unavailable("another queue has this journal");
  if (closing_) return base::Unavailable("this queue ends");
  if (away_) return base::Unavailable("the store is away");
  return absl::OkStatus();
}

net::Task<void> StoreJournalCore::WaitUntilDue() {
  if (pending_.empty() || start_at_ == milliseconds::max()) {
    co_await wake_.Wait();
  } else {
    const milliseconds left = start_at_ - BootTime();
    if (left > milliseconds(0)) (void)co_await wake_.WaitFor(left);
  }
}

StoreJournalCore::Operations StoreJournalCore::Take() {
  Operations taken;
  size_t bytes = 0;
  while (!pending_.empty() && taken.size() < kBatchRecords && bytes < kBatchBytes) {
    bytes += pending_.front().record.size();
    taken.push_back(std::move(pending_.front()));
    pending_.pop_front();
  }
  start_at_ = pending_.empty() ? milliseconds::max() : milliseconds(0);
  return taken;
}

// The newest word on each key.
v1::AppendQueueRecordsRequest StoreJournalCore::ToRequest(const Operations& taken) const {
  v1::AppendQueueRecordsRequest request;
  *request.mutable_lease() = lease_;
  request.set_batch(batch_ + 1);
  std::unordered_set<EntryKey> seen;
  for (auto operation = taken.rbegin(); operation != taken.rend(); ++operation) {
    if (!seen.insert(operation->key).second) continue;
    if (operation->kind == Kind::kDone) {
      SetKey(*request.add_done(), operation->key);
      continue;
    }
    v1::QueueRecord& record = *request.add_put();
    SetKey(*record.mutable_key(), operation->key);
    record.set_blob_key(operation->blob);
    record.set_record(operation->record);
  }
  if (!adoption_) return request;
  *request.mutable_claimed() = adoption_->lease;
  for (const v1::QueueRecord& record : adoption_->page.records())
    *request.add_adopted() = record.key();
  request.set_claimed_ends(!adoption_->page.more());
  return request;
}

// Until it is known what became of it.
net::Task<absl::Status> StoreJournalCore::Send(v1::AppendQueueRecordsRequest request) {
  const JournalMetrics& metrics = JournalMetrics::Get();
  const milliseconds begun = BootTime();
  metrics.batch_records->Observe(request.put_size() + request.done_size());
  bool doubtful = false;  // a try whose answer was lost may have written it
  for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const milliseconds sent = BootTime();
    const auto reply = co_await store_.Call(rpc::store::kQueueJournalAppend, kJournalStream,
                                            rpc::Flow::kFree, Within(kAppendLimit), request);
    if (over_) co_return base::Unavailable("another queue has this journal");
    if (reply.ok()) {
      Renewed(sent);
      ++batch_;
      metrics.commit_seconds->Observe(std::chrono::duration<double>(BootTime() - begun).count());
      co_return absl::OkStatus();
    }
    // Its number is given to another batch only when it is known not to be there: the store would
    // take that one for this one.
    const bool final = EpochOver(reply.status()) || (Refused(reply.status()) && !doubtful);
    doubtful = true;
    // One try that meets a store that just went is no failure.
    if (final || pause > kFirstPause) metrics.failures->Add();
    if (final) co_return reply.status();
    observe::Warning("queue.journal.away", {{"status", reply.status().ToString()},
                                            {"batch", request.batch()},
                                            {"waiting", pending_.size()}});
    away_ = true;
    FailWhatIsNew();
    co_await net::Sleep(loop_, pause);
    if (over_) co_return base::Unavailable("another queue has this journal");
  }
}

// Whoever sent it may have it stored elsewhere now.
void StoreJournalCore::FailWhatIsNew() {
  std::deque<Operation> kept;
  for (Operation& operation : std::exchange(pending_, {})) {
    if (operation.kind != Kind::kNew) {
      kept.push_back(std::move(operation));
    } else if (operation.stored) {
      loop_.Post([stored = std::move(operation.stored)] {
        stored(base::Unavailable("the store is away"));
      });
    }
  }
  // What was put behind an entry that failed cannot be: nobody had it yet.
  pending_ = std::move(kept);
  if (pending_.empty()) start_at_ = milliseconds::max();  // or the next one would wake nobody
}

void StoreJournalCore::Answer(Operations taken, const absl::Status& status) {
  std::deque<Operation> again;
  for (Operation& operation : taken) {
    // A completion that was not written comes again: without it the message would be delivered
    // twice.
    if (operation.kind == Kind::kDone && !status.ok() && !over_) {
      again.push_back(std::move(operation));
    } else if (operation.stored) {
      operation.stored(status);
    }
  }
  if (again.empty() || over_) return;
  // Before what came meanwhile: of a key that was put since, that is the newest word.
  pending_.insert(pending_.begin(), std::make_move_iterator(again.begin()),
                  std::make_move_iterator(again.end()));
  start_at_ = std::min(start_at_, BootTime() + kRidesAtMost);
}

net::Task<void> StoreJournalCore::Run(std::shared_ptr<StoreJournalCore> self) {
  self->running_ = true;
  while (!self->over_) {
    if (self->MayClaim()) co_await self->Claim();
    if (self->adoption_ && !self->over_) co_await self->LoadAdopted();
    if (self->over_) break;
    if (!self->adoption_ && !self->Due()) {
      if (self->closing_ && self->pending_.empty()) break;
      co_await self->WaitUntilDue();
      continue;
    }
    Operations taken = self->Take();
    const absl::Status status = co_await self->Send(self->ToRequest(taken));
    if (status.ok() && self->adoption_) self->Inherit();
    // Its lease brings it back, to us or to another.
    if (!status.ok()) self->adoption_.reset();
    if (EpochOver(status)) self->Over(base::Message(status));
    self->Answer(std::move(taken),
                 EpochOver(status) ? base::Unavailable("another queue has this journal") : status);
  }
  self->running_ = false;
  self->ended_.NotifyAll();
}

void StoreJournalCore::Over(std::string_view why) {
  if (over_) return;
  observe::Error("queue.journal.lost",
                 {{"journal", base::Hex(id())}, {"epoch", lease_.epoch()}, {"reason", why}});
  Stop();
  if (options_.over) loop_.Post(options_.over);
}

void StoreJournalCore::Stop() {
  over_ = true;
  for (Operation& operation : std::exchange(pending_, {})) {
    if (!operation.stored) continue;
    loop_.Post([stored = std::move(operation.stored)] {
      stored(base::Unavailable("another queue has this journal"));
    });
  }
  wake_.NotifyAll();
}

}  // namespace posthorn::delivery_queue
