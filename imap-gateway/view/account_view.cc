#include "imap-gateway/view/account_view.h"

#include <algorithm>
#include <utility>

#include "lib/base/strings.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::imap_gateway {
namespace {

namespace v1 = ::posthorn::store::v1;
using Clock = std::chrono::steady_clock;

std::shared_ptr<MailboxInfo> MakeInfo(const v1::MailboxState& state) {
  auto info = std::make_shared<MailboxInfo>();
  info->mailbox = state.mailbox();
  info->name = state.name();
  info->special_use = state.special_use();
  info->uid_validity = state.uid_validity();
  info->uid_next = state.uid_next();
  info->highest_modseq = state.highest_modseq();
  info->messages = state.messages();
  info->unseen = state.unseen();
  info->deleted = state.deleted();
  info->size = state.size();
  return info;
}

}  // namespace

AccountView::AccountView(net::Loop& loop, std::string ticket)
    : ticket_(std::move(ticket)), changed_(loop) {}
AccountView::~AccountView() = default;

const MailboxInfo* AccountView::Find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second.get();
}

void AccountView::FillOpen(v1::SyncRequest& request, uint64_t view) {
  request.mutable_open_account()->set_view(view);
  request.mutable_open_account()->set_ticket(ticket_);
  request.mutable_open_account()->set_known_modseq(modseq_);
}

SyncSubscriber::Taken AccountView::OnReply(const v1::SyncReply& reply) {
  if (reply.has_account()) {
    Apply(reply.account());
  } else if (reply.has_closed()) {
    if (reply.closed().reason() == v1::ViewClosed::AGAIN) {
      behind_ = true;
      return Taken::kOpenAgain;
    }
    denied_ = true;
  }
  changed_.NotifyAll();
  return denied_ ? Taken::kOver : Taken::kGoOn;
}

void AccountView::Remove(uint64_t mailbox) {
  const auto old = by_id_.find(mailbox);
  if (old == by_id_.end()) return;
  const auto named = by_name_.find(old->second->name);
  // A name may have gone to another mailbox in the same message.
  if (named != by_name_.end() && named->second == old->second) by_name_.erase(named);
  by_id_.erase(old);
}

void AccountView::Apply(const v1::AccountState& state) {
  if (state.full()) {
    by_name_.clear();
    by_id_.clear();
    behind_ = false;
  }
  for (const uint64_t mailbox : state.deleted()) Remove(mailbox);
  for (const v1::MailboxState& mailbox : state.mailboxes()) Remove(mailbox.mailbox());
  for (const v1::MailboxState& mailbox : state.mailboxes()) {
    const std::shared_ptr<MailboxInfo> info = MakeInfo(mailbox);
    by_id_[info->mailbox] = info;
    by_name_[info->name] = info;
  }
  if (state.full() || state.subscriptions_changed())
    subscriptions_ = Names(state.subscriptions().begin(), state.subscriptions().end());
  quota_bytes_ = state.quota_bytes();
  used_bytes_ = state.used_bytes();
  modseq_ = std::max(modseq_, state.modseq());
  ready_ = ready_ || state.full();
}

net::Task<absl::Status> AccountView::WaitReady(std::chrono::milliseconds limit) {
  co_return co_await WaitFor(0, limit);
}

net::Task<absl::Status> AccountView::WaitFor(uint64_t modseq, std::chrono::milliseconds limit) {
  return WaitUntil([this, modseq] { return modseq_ >= modseq; }, limit);
}

net::Task<absl::Status> AccountView::WaitCurrent(std::chrono::milliseconds limit) {
  return WaitUntil([this] { return !behind_; }, limit);
}

net::Task<absl::Status> AccountView::WaitUntil(std::function<bool()> there,
                                               std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!denied_ && (!ready_ || !there())) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0)
      co_return base::Error(absl::StatusCode::kDeadlineExceeded, "account view is late");
    co_await changed_.WaitFor(left);
  }
  if (denied_) co_return base::Denied("account view denied");
  co_return absl::OkStatus();
}

}  // namespace posthorn::imap_gateway
