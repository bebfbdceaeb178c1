#include "delivery-queue/journal/store_journal.h"

#include <algorithm>

#include "delivery-queue/journal/journal_metrics.h"
#include "delivery-queue/journal/store_journal_core.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

net::Task<absl::StatusOr<std::string>> StoreJournalCore::Read(
    std::shared_ptr<StoreJournalCore> self, EntryKey key) {
  v1::ReadQueueRecordRequest request;
  *request.mutable_lease() = self->lease_;
  SetKey(*request.mutable_key(), key);
  auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRead, kJournalStream,
                                          rpc::Flow::kFree, Within(kReadLimit), std::move(request));
  if (!reply.ok()) co_return reply.status();
  co_return std::move(*reply->mutable_record());
}

net::Task<absl::Status> StoreJournalCore::ForEach(std::shared_ptr<StoreJournalCore> self,
                                                  Journal::Visit visit) {
  v1::LoadQueueRecordsRequest request;
  *request.mutable_lease() = self->lease_;
  for (milliseconds pause = kFirstPause;;) {
    auto page = co_await self->store_.Call(rpc::store::kQueueJournalLoad, kJournalStream,
                                           rpc::Flow::kFree, Within(kReadLimit), request);
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

namespace {

constexpr milliseconds kSoon{10};

class StoreJournal final : public Journal {
 public:
  explicit StoreJournal(std::shared_ptr<StoreJournalCore> core) : core_(std::move(core)) {}
  ~StoreJournal() override { core_->Stop(); }

  void Put(EntryKey key, uint64_t blob, std::string record, Stored stored) override {
    core_->Add(StoreJournalCore::Kind::kChange, key, blob, std::move(record), std::move(stored),
               milliseconds(0));
  }
  void PutNew(EntryKey key, uint64_t blob, std::string record, Stored stored) override {
    core_->Add(StoreJournalCore::Kind::kNew, key, blob, std::move(record), std::move(stored),
               milliseconds(0));
  }
  void Done(EntryKey key, Urgency urgency) override {
    core_->Add(StoreJournalCore::Kind::kDone, key, 0, {}, {},
               urgency == Urgency::kSoon ? kSoon : kRidesAtMost);
  }
  net::Task<absl::StatusOr<std::string>> Read(EntryKey key) override {
    return StoreJournalCore::Read(core_, key);
  }
  net::Task<absl::Status> ForEach(Visit visit) override {
    return StoreJournalCore::ForEach(core_, std::move(visit));
  }
  std::string id() const override { return core_->id(); }
  Usage usage() const override { return {}; }
  absl::Status Ready() const override { return core_->Ready(); }
  milliseconds LeaseLeft() const override { return core_->LeaseLeft(); }
  bool interrupted() const override { return core_->interrupted(); }
  void SetHeir(Heir heir) override { core_->SetHeir(std::move(heir)); }
  net::Task<void> Close() override { return StoreJournalCore::Close(core_); }

 private:
  const std::shared_ptr<StoreJournalCore> core_;
};

}  // namespace

net::Task<absl::StatusOr<std::unique_ptr<Journal>>> OpenStoreJournal(net::Loop& loop,
                                                                     rpc::Client& store,
                                                                     StoreJournalOptions options) {
  auto core = std::make_shared<StoreJournalCore>(loop, store, std::move(options));
  JournalMetrics::Get();  // made now: a panel shows 0, not nothing
  CO_RETURN_IF_ERROR(co_await StoreJournalCore::Open(core));
  loop.Spawn("queue.journal", StoreJournalCore::Run(core));
  loop.Spawn("queue.lease", StoreJournalCore::Renew(core));
  std::unique_ptr<Journal> journal = std::make_unique<StoreJournal>(core);
  co_return std::move(journal);
}

}  // namespace posthorn::delivery_queue
