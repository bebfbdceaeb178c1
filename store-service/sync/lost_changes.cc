#include "store-service/sync/lost_changes.h"

#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::store_service {
namespace {

observe::Counter* Losses() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_store_lost_changes_total",
      "Accounts whose clients knew changes that this store had lost; their mailboxes got new "
      "UIDVALIDITYs");
  return kCounter;
}

bool IsAhead(const KnownState& known, AccountMemory& account) {
  if (known.mailbox == 0) return IsAhead(known, account.row);
  const Mailbox* mailbox = account.Find(known.mailbox);
  return mailbox != nullptr && IsAhead(known, mailbox->row);
}

}  // namespace

bool IsAhead(const KnownState& known, const MailboxRow& row) {
  return known.uid_validity == row.uid_validity && known.modseq > row.modseq;
}

bool IsAhead(const KnownState& known, const AccountRow& row) { return known.modseq > row.modseq; }

net::Task<absl::Status> BeginAnewAfterLoss(LaneEngine& lanes, AccountId account, KnownState known) {
  const auto begun =
      co_await lanes.Run<bool>(account, nullptr, [known](Change& change) -> absl::StatusOr<bool> {
        if (!IsAhead(known, change.account())) return false;
        change.BeginAnewAfter(known.modseq);
        return true;
      });
  if (begun.ok() && *begun) {
    Losses()->Add();
    observe::Error("store.sync.modseq_from_future",
                   {{"account", account}, {"mailbox", known.mailbox}, {"known", known.modseq}});
  }
  co_return begun.status();
}

}  // namespace posthorn::store_service
