#include "store-service/sync/sync_session.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/sync/sync_metrics.h"
#include "store-service/sync/view_chunks.h"

namespace posthorn::store_service {

SyncSession::SyncSession(SyncHub& hub)
    : hub_(&hub), wake_(hub.lanes().loop()), writer_ended_(hub.lanes().loop()) {}

net::Task<absl::Status> SyncSession::Serve(rpc::ServerCall& call) {
  const auto self = shared_from_this();
  hub_->lanes().loop().Spawn("sync writer", WriteReplies(self, &call));
  SyncMetrics::Get().streams->Add(1);
  absl::Status status;
  for (;;) {
    v1::SyncRequest request;
    const absl::StatusOr<bool> more = co_await call.Read(request);
    if (!more.ok()) status = more.status();
    if (!more.ok() || !*more) break;
    Handle(request);
  }
  ended_ = true;
  SyncMetrics::Get().streams->Add(-1);
  for (const auto& [id, view] : views_) {
    view->phase = View::Phase::kClosed;
    hub_->Remove(view);
  }
  views_.clear();
  wake_.NotifyAll();
  // The writer uses the call, which ends with this coroutine.
  co_await writer_ended_.Get();
  co_return status;
}

void SyncSession::Handle(const v1::SyncRequest& request) {
  switch (request.request_case()) {
    case v1::SyncRequest::kOpen:
      OpenMailbox(request.open());
      return;
    case v1::SyncRequest::kOpenAccount:
      OpenAccount(request.open_account());
      return;
    case v1::SyncRequest::kClose:
      Drop(request.close().view());
      return;
    case v1::SyncRequest::kCloseAccount:
      Drop(request.close_account().view());
      return;
    case v1::SyncRequest::kCredit: {
      const auto found = views_.find(request.credit().view());
      if (found == views_.end()) return;
      found->second->credit += request.credit().replies();
      List(found->second);
      return;
    }
    case v1::SyncRequest::kBarrier:
      hub_->lanes().loop().Spawn("sync barrier", Wait(shared_from_this(), request.barrier()));
      return;
    case v1::SyncRequest::REQUEST_NOT_SET:
      return;
  }
}

ViewPtr SyncSession::AddView(uint64_t id, const std::string& ticket, MailboxId mailbox) {
  auto view = std::make_shared<View>();
  view->id = id;
  view->mailbox = mailbox;
  view->epoch = ++epochs_;
  view->session = weak_from_this();
  Drop(id);
  const auto facts = hub_->tickets().Verify(ticket);
  if (!facts.ok() || !hub_->lanes().held(base::LaneOf(facts->account))) {
    Close(view, facts.ok() ? v1::ViewClosed::AGAIN : v1::ViewClosed::DENIED);
    return nullptr;
  }
  view->account = facts->account;
  views_[id] = view;
  // Before the snapshot is read: nothing committed in between may be missed.
  hub_->Add(view);
  return view;
}

void SyncSession::OpenMailbox(const v1::OpenView& open) {
  const ViewPtr view = AddView(open.view(), open.ticket(), open.mailbox());
  if (!view) return;
  if (open.mailbox() == 0) {
    Close(view, v1::ViewClosed::NOT_FOUND);
    return;
  }
  hub_->lanes().loop().Spawn("sync snapshot", ReadMailbox(shared_from_this(), view, open));
}

void SyncSession::OpenAccount(const v1::OpenAccount& open) {
  const ViewPtr view = AddView(open.view(), open.ticket(), 0);
  if (!view) return;
  hub_->lanes().loop().Spawn("sync account",
                             ReadAccount(shared_from_this(), view, open.known_modseq()));
}

void SyncSession::Drop(uint64_t id) {
  const auto found = views_.find(id);
  if (found == views_.end()) return;
  found->second->phase = View::Phase::kClosed;
  hub_->Remove(found->second);
  views_.erase(found);
  wake_.NotifyAll();
}

void SyncSession::Close(const ViewPtr& view, v1::ViewClosed::Reason reason) {
  v1::SyncReply reply;
  reply.mutable_closed()->set_view(view->id);
  reply.mutable_closed()->set_reason(reason);
  if (reason == v1::ViewClosed::AGAIN) SyncMetrics::Get().behind->Add();
  control_.push_back(std::move(reply));
  Drop(view->id);
  wake_.NotifyAll();
}

net::Task<void> SyncSession::ReadMailbox(std::shared_ptr<SyncSession> self, ViewPtr view,
                                         v1::OpenView open) {
  auto read = co_await hub_->lanes().readers().Run(
      [database = &hub_->lanes().database(), account = view->account, epoch = view->epoch, open] {
        return ReadView(*database, account, open, epoch);
      });
  if (view->phase == View::Phase::kClosed) co_return;
  if (!read.ok()) {
    Close(view, v1::ViewClosed::AGAIN);
    co_return;
  }
  if (read->found == ViewSnapshot::Found::kLost) {
    co_await AfterLoss(view, {open.mailbox(), open.known_uid_validity(), open.known_modseq()});
    co_return;
  }
  if (read->found == ViewSnapshot::Found::kNo) {
    Close(view, v1::ViewClosed::NOT_FOUND);
    co_return;
  }
  std::deque<v1::SyncReply> snapshot;
  for (v1::ViewChunk& chunk : read->chunks) {
    *snapshot.emplace_back().mutable_chunk() = std::move(chunk);
  }
  SnapshotRead(view, read->modseq, std::move(snapshot));
}

// The gateway opens again and gets what is here, with its new UIDVALIDITY.
net::Task<void> SyncSession::AfterLoss(ViewPtr view, KnownState known) {
  const absl::Status status = co_await BeginAnewAfterLoss(hub_->lanes(), view->account, known);
  if (!status.ok()) observe::Warning("store.sync.after_loss", {{"reason", base::Message(status)}});
  if (view->phase != View::Phase::kClosed) Close(view, v1::ViewClosed::AGAIN);
}

net::Task<void> SyncSession::ReadAccount(std::shared_ptr<SyncSession> self, ViewPtr view,
                                         ModSeq known) {
  // Makes the account's first mailboxes when it has none, and waits until they are durable.
  const auto made = co_await hub_->lanes().Committed(view->account);
  auto image = co_await hub_->lanes().readers().Run(
      [database = &hub_->lanes().database(),
       account = view->account]() -> absl::StatusOr<AccountImage> {
        ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
        return snapshot->LoadAccount(account);
      });
  if (view->phase == View::Phase::kClosed) co_return;
  if (!made.ok() || !image.ok()) {
    Close(view, v1::ViewClosed::AGAIN);
    co_return;
  }
  if (IsAhead({.modseq = known}, image->row)) {
    co_await AfterLoss(view, {.modseq = known});
    co_return;
  }
  std::deque<v1::SyncReply> snapshot(1);
  v1::AccountState& state = *snapshot.front().mutable_account();
  state.set_view(view->id);
  state.set_full(true);
  state.set_modseq(image->row.modseq);
  state.set_quota_bytes(hub_->accounts().Facts(view->account).quota);
  state.set_used_bytes(image->row.used_bytes);
  for (const MailboxRow& row : image->mailboxes) *state.add_mailboxes() = ToState(row);
  state.set_subscriptions_changed(true);
  view->subscriptions.insert(image->subscriptions.begin(), image->subscriptions.end());
  for (const std::string& name : view->subscriptions) state.add_subscriptions(name);
  SnapshotRead(view, image->row.modseq, std::move(snapshot));
}

void SyncSession::SnapshotRead(const ViewPtr& view, ModSeq modseq,
                               std::deque<v1::SyncReply> snapshot) {
  view->snapshot = std::move(snapshot);
  view->snapshot_modseq = modseq;
  view->phase = View::Phase::kSending;
  while (!view->news.empty() && view->news.front().modseq() <= modseq) {
    view->queued_rows -= view->news.front().rows();
    view->news.pop_front();
    ++view->sent;
  }
  with_chunks_.push_back(view);
  wake_.NotifyAll();
}

net::Task<void> SyncSession::Wait(std::shared_ptr<SyncSession> self, v1::Barrier barrier) {
  const auto facts = hub_->tickets().Verify(barrier.ticket());
  if (!facts.ok()) {
    v1::SyncReply reply;
    reply.mutable_barrier()->set_barrier(barrier.barrier());
    reply.mutable_barrier()->set_denied(true);
    control_.push_back(std::move(reply));
    wake_.NotifyAll();
    co_return;
  }
  BarrierWait wait;
  wait.id = barrier.barrier();
  const auto committed = co_await hub_->lanes().Committed(facts->account);
  if (!committed.ok()) {
    // Not ours any more, or not for certain: only the owner knows how far the account has come.
    v1::SyncReply reply;
    reply.mutable_barrier()->set_barrier(barrier.barrier());
    reply.mutable_barrier()->set_again(!absl::IsPermissionDenied(committed.status()));
    reply.mutable_barrier()->set_denied(absl::IsPermissionDenied(committed.status()));
    control_.push_back(std::move(reply));
    wake_.NotifyAll();
    co_return;
  }
  wait.modseq = *committed;
  for (const auto& [id, view] : views_) {
    if (view->account == facts->account) wait.views.emplace_back(view, view->pushed);
  }
  barriers_.push_back(std::move(wait));
  wake_.NotifyAll();
}

}  // namespace posthorn::store_service
