#include "delivery-queue/journal/store_journal.h"

#include <time.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_set>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {
namespace {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{10};
constexpr milliseconds kRidesAtMost{1000};
constexpr milliseconds kAppendLimit{20000};
constexpr milliseconds kReadLimit{20000};
constexpr milliseconds kLeaseLimit{5000};
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};
constexpr milliseconds kCloseLimit{5000};
constexpr size_t kBatchBytes = 1 << 20;
constexpr size_t kBatchRecords = 1000;
constexpr char kStream[] = "queue-journal";

// Goes on while the machine sleeps, as the database's does.
milliseconds BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::duration_cast<milliseconds>(std::chrono::nanoseconds(now.tv_nsec));
}

rpc::CallOptions Within(milliseconds limit) {
  rpc::CallOptions options;
  options.timeout = limit;
  return options;
}

bool EpochOver(const absl::Status& status) { return absl::IsFailedPrecondition(status); }
// Nothing was written, and the same would be refused again.
bool Refused(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status);
}

void SetKey(v1::QueueRecordKey& to, const EntryKey& key) {
  to.set_message_id(std::string(key.message.bytes()));
  to.set_part(key.part);
}
EntryKey KeyOf(const v1::QueueRecordKey& key) {
  return {base::MessageId::FromBytes(key.message_id()).value_or(base::MessageId()), key.part()};
}

// A journal whose records are being moved here.
struct Adoption {
  v1::QueueLease lease;
  bool closed = false;
  v1::LoadQueueRecordsReply page;
};

// Shared with the coroutines, which may still stand in the loop when the journal has gone.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(net::Loop& loop, rpc::Client& store, StoreJournalOptions options)
      : loop_(loop), store_(store), options_(std::move(options)), wake_(loop), ended_(loop) {}

  static net::Task<absl::Status> Open(std::shared_ptr<Core> self);
  static net::Task<void> Run(std::shared_ptr<Core> self);
  static net::Task<void> Renew(std::shared_ptr<Core> self);
  static net::Task<absl::StatusOr<std::string>> Read(std::shared_ptr<Core> self, EntryKey key);
  static net::Task<absl::Status> ForEach(std::shared_ptr<Core> self, Journal::Visit visit);
  static net::Task<void> Close(std::shared_ptr<Core> self);

  enum class Kind { kNew, kChange, kDone };
  void Add(Kind kind, EntryKey key, uint64_t blob, std::string record, Journal::Stored stored,
           milliseconds within);
  void SetHeir(Journal::Heir heir) { heir_ = std::move(heir); }
  void Stop();
  absl::Status Ready() const;
  milliseconds LeaseLeft() const { return over_ ? milliseconds(0) : lease_until_ - BootTime(); }
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
  v1::AppendQueueRecordsRequest ToRequest(const Operations& taken) const;
  net::Task<absl::Status> Send(v1::AppendQueueRecordsRequest request);
  void Answer(Operations taken, const absl::Status& status);
  void FailWhatIsNew();
  void Over(std::string_view why);
  void Renewed(milliseconds sent) {
    lease_until_ = std::max(lease_until_, sent + lease_length_);
    away_ = false;
  }
  net::Task<void> Claim();
  net::Task<void> LoadAdopted();
  void Inherit();

  net::Loop& loop_;
  rpc::Client& store_;
  const StoreJournalOptions options_;
  v1::QueueLease lease_;
  uint64_t batch_ = 0;
  bool interrupted_ = false;
  milliseconds lease_length_{0};
  milliseconds lease_until_{0};
  std::deque<Operation> pending_;
  milliseconds start_at_ = milliseconds::max();
  net::Signal wake_;
  net::Signal ended_;  // Run came back
  bool running_ = false;
  bool away_ = false;
  bool closing_ = false;
  bool over_ = false;
  bool claimable_ = false;
  Journal::Heir heir_;
  std::optional<Adoption> adoption_;
};

net::Task<absl::Status> Core::Open(std::shared_ptr<Core> self) {
  v1::OpenQueueJournalRequest request;
  request.set_name(self->options_.name);
  request.set_instance(self->options_.instance);
  request.set_reopened(self->options_.reopened);
  for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const milliseconds sent = BootTime();
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalOpen, kStream,
                                                  rpc::Flow::kFree, Within(kLeaseLimit), request);
    if (self->over_) co_return base::Aborted("stopped");
    if (reply.ok()) {
      self->lease_ = reply->lease();
      self->batch_ = reply->batch();
      self->interrupted_ = !reply->closed();
      self->lease_length_ = milliseconds(reply->lease_ms());
      self->Renewed(sent);
      break;
    }
    if (absl::IsAlreadyExists(reply.status()) || absl::IsInvalidArgument(reply.status()))
      co_return reply.status();
    observe::Warning("queue.journal.open", {{"status", reply.status().ToString()}});
    co_await net::Sleep(self->loop_, pause);
  }
  observe::Info("queue.journal.opened", {{"journal", base::Hex(self->id())},
                                         {"epoch", self->lease_.epoch()},
                                         {"interrupted", self->interrupted_}});
  co_return absl::OkStatus();
}

void Core::Add(Kind kind, EntryKey key, uint64_t blob, std::string record, Journal::Stored stored,
               milliseconds within) {
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

absl::Status Core::Ready() const {
  if (over_) return base::Unavailable("another queue has this journal");
  if (closing_) return base::Unavailable("this queue ends");
  if (away_) return base::Unavailable("the store is away");
  return absl::OkStatus();
}

net::Task<void> Core::WaitUntilDue() {
  if (pending_.empty() || start_at_ == milliseconds::max()) {
    co_await wake_.Wait();
  } else {
    const milliseconds left = start_at_ - BootTime();
    if (left > milliseconds(0)) (void)co_await wake_.WaitFor(left);
  }
}

Core::Operations Core::Take() {
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
v1::AppendQueueRecordsRequest Core::ToRequest(const Operations& taken) const {
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
net::Task<absl::Status> Core::Send(v1::AppendQueueRecordsRequest request) {
  for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const milliseconds sent = BootTime();
    const auto reply = co_await store_.Call(rpc::store::kQueueJournalAppend, kStream,
                                            rpc::Flow::kFree, Within(kAppendLimit), request);
    if (over_) co_return base::Unavailable("another queue has this journal");
    if (reply.ok()) {
      Renewed(sent);
      ++batch_;
      co_return absl::OkStatus();
    }
    if (EpochOver(reply.status()) || Refused(reply.status())) co_return reply.status();
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
void Core::FailWhatIsNew() {
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
}

void Core::Answer(Operations taken, const absl::Status& status) {
  for (Operation& operation : taken) {
    // A completion that was not written comes again: without it the message would be delivered
    // twice.
    if (operation.kind == Kind::kDone && !status.ok() && !over_) {
      Add(Kind::kDone, operation.key, 0, {}, {}, kRidesAtMost);
    } else if (operation.stored) {
      operation.stored(status);
    }
  }
}

net::Task<void> Core::Run(std::shared_ptr<Core> self) {
  self->running_ = true;
  while (!self->over_) {
    if (self->claimable_ && !self->adoption_ && self->heir_.visit) co_await self->Claim();
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

void Core::Over(std::string_view why) {
  if (over_) return;
  observe::Error("queue.journal.lost",
                 {{"journal", base::Hex(id())}, {"epoch", lease_.epoch()}, {"reason", why}});
  Stop();
  if (options_.over) loop_.Post(options_.over);
}

void Core::Stop() {
  over_ = true;
  for (Operation& operation : std::exchange(pending_, {})) {
    if (!operation.stored) continue;
    loop_.Post([stored = std::move(operation.stored)] {
      stored(base::Unavailable("another queue has this journal"));
    });
  }
  wake_.NotifyAll();
}

net::Task<void> Core::Renew(std::shared_ptr<Core> self) {
  while (!self->over_ && !self->closing_) {
    v1::RenewQueueLeaseRequest request;
    *request.mutable_lease() = self->lease_;
    const milliseconds sent = BootTime();
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRenew, kStream,
                                                  rpc::Flow::kFree, Within(kLeaseLimit), request);
    if (self->over_ || self->closing_) co_return;
    if (reply.ok()) {
      self->Renewed(sent);
      self->claimable_ = reply->claimable() > 0;
      if (self->claimable_) self->wake_.NotifyAll();
    } else if (EpochOver(reply.status())) {
      co_return self->Over(base::Message(reply.status()));
    } else {
      self->away_ = true;
      self->FailWhatIsNew();
    }
    co_await net::Sleep(self->loop_, reply.ok() ? self->options_.renew : kLongestPause);
  }
}

net::Task<void> Core::Claim() {
  claimable_ = false;
  v1::ClaimQueueJournalRequest request;
  *request.mutable_lease() = lease_;
  request.set_name(options_.name);
  const auto reply = co_await store_.Call(rpc::store::kQueueJournalClaim, kStream, rpc::Flow::kFree,
                                          Within(kLeaseLimit), request);
  if (!reply.ok() || !reply->has_claimed()) co_return;
  observe::Warning("queue.journal.claimed", {{"journal", base::Hex(reply->claimed().journal_id())},
                                             {"of", reply->name()},
                                             {"epoch", reply->claimed().epoch()}});
  adoption_.emplace();
  adoption_->lease = reply->claimed();
  adoption_->closed = reply->closed();
  claimable_ = true;  // there may be more
}

net::Task<void> Core::LoadAdopted() {
  v1::LoadQueueRecordsRequest request;
  *request.mutable_lease() = adoption_->lease;
  auto page = co_await store_.Call(rpc::store::kQueueJournalLoad, kStream, rpc::Flow::kFree,
                                   Within(kReadLimit), std::move(request));
  if (page.ok()) {
    adoption_->page = *std::move(page);
    co_return;
  }
  // The lease of what was claimed brings it back, to us or to another.
  observe::Warning("queue.journal.adopt", {{"status", page.status().ToString()}});
  adoption_.reset();
}

// The page is ours.
void Core::Inherit() {
  Adoption& adoption = *adoption_;
  for (v1::QueueRecord& record : *adoption.page.mutable_records())
    heir_.visit(KeyOf(record.key()), std::move(*record.mutable_record()));
  if (adoption.page.more()) return adoption.page.Clear();
  const bool closed = adoption.closed;
  adoption_.reset();
  heir_.end(!closed);
}

net::Task<absl::StatusOr<std::string>> Core::Read(std::shared_ptr<Core> self, EntryKey key) {
  v1::ReadQueueRecordRequest request;
  *request.mutable_lease() = self->lease_;
  SetKey(*request.mutable_key(), key);
  auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRead, kStream, rpc::Flow::kFree,
                                          Within(kReadLimit), std::move(request));
  if (!reply.ok()) co_return reply.status();
  co_return std::move(*reply->mutable_record());
}

net::Task<absl::Status> Core::ForEach(std::shared_ptr<Core> self, Journal::Visit visit) {
  v1::LoadQueueRecordsRequest request;
  *request.mutable_lease() = self->lease_;
  for (milliseconds pause = kFirstPause;;) {
    auto page = co_await self->store_.Call(rpc::store::kQueueJournalLoad, kStream, rpc::Flow::kFree,
                                           Within(kReadLimit), request);
    if (self->over_ || EpochOver(page.status())) co_return base::Aborted("the journal was lost");
    if (!page.ok()) {
      observe::Warning("queue.journal.load", {{"status", page.status().ToString()}});
      co_await net::Sleep(self->loop_, pause);
      pause = std::min(2 * pause, kLongestPause);
      continue;
    }
    for (v1::QueueRecord& record : *page->mutable_records()) {
      *request.mutable_after() = record.key();
      visit(KeyOf(record.key()), std::move(*record.mutable_record()));
    }
    if (!page->more()) co_return absl::OkStatus();
  }
}

net::Task<void> Core::Close(std::shared_ptr<Core> self) {
  self->closing_ = true;
  self->wake_.NotifyAll();
  const milliseconds end = BootTime() + kCloseLimit;
  while (self->running_ && BootTime() < end) (void)co_await self->ended_.WaitFor(end - BootTime());
  if (!self->running_ && !self->over_) {
    v1::RenewQueueLeaseRequest request;
    *request.mutable_lease() = self->lease_;
    request.set_closing(true);
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRenew, kStream,
                                                  rpc::Flow::kFree, Within(kLeaseLimit), request);
    if (!reply.ok())
      observe::Warning("queue.journal.close", {{"status", reply.status().ToString()}});
  }
  self->Stop();
}

class StoreJournal final : public Journal {
 public:
  explicit StoreJournal(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~StoreJournal() override { core_->Stop(); }

  void Put(EntryKey key, uint64_t blob, std::string record, Stored stored) override {
    core_->Add(Core::Kind::kChange, key, blob, std::move(record), std::move(stored),
               milliseconds(0));
  }
  void PutNew(EntryKey key, uint64_t blob, std::string record, Stored stored) override {
    core_->Add(Core::Kind::kNew, key, blob, std::move(record), std::move(stored), milliseconds(0));
  }
  void Done(EntryKey key, Urgency urgency) override {
    core_->Add(Core::Kind::kDone, key, 0, {}, {}, urgency == Urgency::kSoon ? kSoon : kRidesAtMost);
  }
  net::Task<absl::StatusOr<std::string>> Read(EntryKey key) override {
    return Core::Read(core_, key);
  }
  net::Task<absl::Status> ForEach(Visit visit) override {
    return Core::ForEach(core_, std::move(visit));
  }
  std::string id() const override { return core_->id(); }
  Usage usage() const override { return {}; }
  absl::Status Ready() const override { return core_->Ready(); }
  milliseconds LeaseLeft() const override { return core_->LeaseLeft(); }
  bool interrupted() const override { return core_->interrupted(); }
  void SetHeir(Heir heir) override { core_->SetHeir(std::move(heir)); }
  net::Task<void> Close() override { return Core::Close(core_); }

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace

net::Task<absl::StatusOr<std::unique_ptr<Journal>>> OpenStoreJournal(net::Loop& loop,
                                                                     rpc::Client& store,
                                                                     StoreJournalOptions options) {
  auto core = std::make_shared<Core>(loop, store, std::move(options));
  CO_RETURN_IF_ERROR(co_await Core::Open(core));
  loop.Spawn("queue.journal", Core::Run(core));
  loop.Spawn("queue.lease", Core::Renew(core));
  std::unique_ptr<Journal> journal = std::make_unique<StoreJournal>(core);
  co_return std::move(journal);
}

}  // namespace posthorn::delivery_queue
