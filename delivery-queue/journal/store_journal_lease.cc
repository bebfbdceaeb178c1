#include <algorithm>

#include "delivery-queue/journal/store_journal_core.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {
namespace {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

constexpr milliseconds kLeaseLimit{5000};
constexpr milliseconds kCloseLimit{5000};
constexpr milliseconds kLook{250};

}  // namespace

net::Task<absl::Status> StoreJournalCore::Open(std::shared_ptr<StoreJournalCore> self) {
  v1::OpenQueueJournalRequest request;
  request.set_name(self->options_.name);
  request.set_instance(self->options_.instance);
  request.set_address(self->options_.address);
  // Whoever has the name may live: its words say so when they change.
  request.set_reopened(true);
  std::string words;
  milliseconds watched_until{0};
  for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const milliseconds sent = BootTime();
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalOpen, kJournalStream,
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
    if (absl::IsAlreadyExists(reply.status()) && !self->options_.reopened) {
      if (words.empty()) {
        words = base::Message(reply.status());
        watched_until = sent + self->options_.watch;
      }
      if (words != base::Message(reply.status())) co_return reply.status();
      request.set_reopened(sent < watched_until);
      co_await net::Sleep(self->loop_, std::min(kLook, self->options_.watch / 4));
      continue;
    }
    if (absl::IsAlreadyExists(reply.status()) || absl::IsInvalidArgument(reply.status()))
      co_return reply.status();
    // Whoever lives could not say so either: it is watched anew.
    words.clear();
    request.set_reopened(true);
    self->away_ = true;
    observe::Warning("queue.journal.open", {{"status", reply.status().ToString()}});
    co_await net::Sleep(self->loop_, pause);
  }
  observe::Info("queue.journal.opened", {{"journal", base::Hex(self->id())},
                                         {"epoch", self->lease_.epoch()},
                                         {"interrupted", self->interrupted_}});
  co_return absl::OkStatus();
}

net::Task<void> StoreJournalCore::Renew(std::shared_ptr<StoreJournalCore> self) {
  while (!self->over_ && !self->closing_) {
    v1::RenewQueueLeaseRequest request;
    *request.mutable_lease() = self->lease_;
    const milliseconds sent = BootTime();
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRenew, kJournalStream,
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

net::Task<void> StoreJournalCore::Claim() {
  claimable_ = false;
  v1::ClaimQueueJournalRequest request;
  *request.mutable_lease() = lease_;
  request.set_name(options_.name);
  const auto reply = co_await store_.Call(rpc::store::kQueueJournalClaim, kJournalStream,
                                          rpc::Flow::kFree, Within(kLeaseLimit), request);
  if (!reply.ok() || !reply->has_claimed()) co_return;
  observe::Warning("queue.journal.claimed", {{"journal", base::Hex(reply->claimed().journal_id())},
                                             {"of", reply->name()},
                                             {"epoch", reply->claimed().epoch()}});
  adoption_.emplace();
  adoption_->lease = reply->claimed();
  adoption_->closed = reply->closed();
  claimable_ = true;  // there may be more
}

net::Task<void> StoreJournalCore::LoadAdopted() {
  v1::LoadQueueRecordsRequest request;
  *request.mutable_lease() = adoption_->lease;
  auto page = co_await store_.Call(rpc::store::kQueueJournalLoad, kJournalStream, rpc::Flow::kFree,
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
void StoreJournalCore::Inherit() {
  Adoption& adoption = *adoption_;
  for (v1::QueueRecord& record : *adoption.page.mutable_records())
    heir_.visit(KeyOf(record.key()), std::move(*record.mutable_record()));
  if (adoption.page.more()) return adoption.page.Clear();
  const bool closed = adoption.closed;
  adoption_.reset();
  heir_.end(!closed);
}

net::Task<void> StoreJournalCore::Close(std::shared_ptr<StoreJournalCore> self) {
  self->closing_ = true;
  self->wake_.NotifyAll();
  const milliseconds end = BootTime() + kCloseLimit;
  while (self->running_ && BootTime() < end) (void)co_await self->ended_.WaitFor(end - BootTime());
  if (!self->running_ && !self->over_) {
    v1::RenewQueueLeaseRequest request;
    *request.mutable_lease() = self->lease_;
    request.set_closing(true);
    const auto reply = co_await self->store_.Call(rpc::store::kQueueJournalRenew, kJournalStream,
                                                  rpc::Flow::kFree, Within(kLeaseLimit), request);
    if (!reply.ok())
      observe::Warning("queue.journal.close", {{"status", reply.status().ToString()}});
  }
  self->Stop();
}

}  // namespace posthorn::delivery_queue
