#include "store-service/service/recount.h"

#include <algorithm>

namespace posthorn::store_service {
namespace {

std::vector<MailboxId> AllMailboxes(AccountMemory& account) {
  std::vector<MailboxId> all;
  for (const auto& [id, mailbox] : account.mailboxes) all.push_back(id);
  return all;
}

MailboxTotals Sum(const Mailbox& mailbox) {
  MailboxTotals totals;
  totals.messages = static_cast<uint32_t>(mailbox.columns.size());
  for (const MessageColumns& message : mailbox.columns) {
    totals.unseen += (message.flags & kSeen) == 0;
    totals.deleted += (message.flags & kDeleted) != 0;
    totals.size += message.size;
    totals.highest_uid = std::max(totals.highest_uid, message.uid);
    totals.highest_modseq = std::max(totals.highest_modseq, message.modseq);
  }
  return totals;
}

absl::StatusOr<bool> RecountAll(Change& change) {
  uint64_t bytes = 0;
  uint64_t messages = 0;
  for (auto& [id, mailbox] : change.account().mailboxes) {
    const MailboxTotals totals = Sum(mailbox);
    // Also those that are right: each gets a higher modseq, so gateways take their rows as news.
    change.SetCounters(mailbox, totals);
    bytes += totals.size;
    messages += totals.messages;
  }
  change.SetUsage(bytes, messages);
  return true;
}

}  // namespace

net::Task<absl::Status> RecountAccount(LaneEngine& lanes, base::AccountId account) {
  const absl::StatusOr<bool> done = co_await lanes.Run<bool>(account, AllMailboxes, RecountAll);
  co_return done.status();
}

}  // namespace posthorn::store_service
