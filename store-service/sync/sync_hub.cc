#include "store-service/sync/sync_hub.h"

#include <algorithm>
#include <utility>

#include "store-service/sync/sync_metrics.h"
#include "store-service/sync/sync_session.h"
#include "store-service/sync/view_chunks.h"

namespace posthorn::store_service {

SyncHub::SyncHub(LaneEngine& lanes, const Accounts& accounts, const TicketVerifier& tickets)
    : lanes_(&lanes), accounts_(&accounts), tickets_(&tickets) {
  SyncMetrics::Get();  // made now: a panel shows 0, not nothing
  lanes.AddObserver(this);
}

void SyncHub::Add(const ViewPtr& view) {
  by_mailbox_[{view->account, view->mailbox}].push_back(view);
  ++views_;
  SyncMetrics::Get().views->Set(static_cast<double>(views_));
}

void SyncHub::Remove(const ViewPtr& view) {
  const auto found = by_mailbox_.find({view->account, view->mailbox});
  if (found == by_mailbox_.end()) return;
  views_ -= std::erase(found->second, view);
  if (found->second.empty()) by_mailbox_.erase(found);
  SyncMetrics::Get().views->Set(static_cast<double>(views_));
}

std::vector<ViewPtr> SyncHub::ViewsOf(AccountId account) const {
  std::vector<ViewPtr> views;
  for (auto it = by_mailbox_.lower_bound({account, 0});
       it != by_mailbox_.end() && it->first.first == account; ++it) {
    views.insert(views.end(), it->second.begin(), it->second.end());
  }
  return views;
}

void SyncHub::OnCommitted(const Batch& batch) {
  if (views_ == 0) return;
  for (const DeltaPtr& delta : batch.deltas) {
    const auto found = by_mailbox_.find({delta->account, delta->mailbox});
    if (found == by_mailbox_.end()) continue;
    // A copy: a view that is too far behind is removed on the way.
    const std::vector<ViewPtr> views = found->second;
    for (const ViewPtr& view : views) {
      const auto session = view->session.lock();
      if (!session) continue;
      switch (delta->end) {
        case Delta::Mailbox::kDeleted:
          session->Close(view, v1::ViewClosed::DELETED);
          break;
        case Delta::Mailbox::kRenumbered:
          session->Close(view, v1::ViewClosed::AGAIN);
          break;
        case Delta::Mailbox::kStays:
          session->Push(view, {.delta = delta,
                               .state = nullptr,
                               .subscriptions = {},
                               .committed_ms = batch.committed_ms});
      }
    }
  }
  for (const AccountId account : batch.accounts) {
    const auto found = by_mailbox_.find({account, 0});
    if (found != by_mailbox_.end()) TellAccount(batch, account, std::vector(found->second));
  }
}

void SyncHub::TellAccount(const Batch& batch, AccountId account,
                          const std::vector<ViewPtr>& views) {
  v1::AccountState state;
  const AccountRow& row = batch.rows.accounts().at(account);
  state.set_modseq(row.modseq);
  state.set_used_bytes(row.used_bytes);
  state.set_quota_bytes(accounts_->Facts(account).quota);
  const auto& rows = batch.rows.mailboxes();
  for (auto it = rows.lower_bound({account, 0}); it != rows.end() && it->first.first == account;
       ++it) {
    *state.add_mailboxes() = ToState(it->second);
  }
  for (const DeletedMailboxRow& gone : batch.rows.deleted_mailboxes) {
    if (gone.account == account) state.add_deleted(gone.mailbox);
  }
  std::vector<SubscriptionRow> changes;
  for (const SubscriptionRow& change : batch.rows.subscriptions) {
    if (change.account == account) changes.push_back(change);
  }
  for (const ViewPtr& view : views) {
    const auto session = view->session.lock();
    if (!session) continue;
    auto own = std::make_shared<v1::AccountState>(state);
    own->set_view(view->id);
    session->Push(
        view,
        {.delta = nullptr, .state = std::move(own), .subscriptions = changes, .committed_ms = 0});
  }
}

void SyncHub::OnLaneLost(uint32_t lane) {
  std::vector<ViewPtr> lost;
  for (const auto& [key, views] : by_mailbox_) {
    if (base::LaneOf(key.first) == lane) lost.insert(lost.end(), views.begin(), views.end());
  }
  for (const ViewPtr& view : lost) {
    if (const auto session = view->session.lock()) session->Close(view, v1::ViewClosed::AGAIN);
  }
}

void SyncHub::OnDoubt(AccountId account) {
  for (const ViewPtr& view : ViewsOf(account)) {
    if (const auto session = view->session.lock()) session->Close(view, v1::ViewClosed::AGAIN);
  }
}

void SyncHub::EndSessions(AccountId account) {
  for (const ViewPtr& view : ViewsOf(account)) {
    if (const auto session = view->session.lock()) session->Close(view, v1::ViewClosed::DENIED);
  }
}

}  // namespace posthorn::store_service
