#include "store-service/sync/lost_changes.h"

#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "store-service/sync/sync_metrics.h"

namespace posthorn::store_service {
namespace {

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
    SyncMetrics::Get().lost_changes->Add();
    observe::Error("store.sync.modseq_from_future",
                   {{"account", account}, {"mailbox", known.mailbox}, {"known", known.modseq}});
  }
  co_return begun.status();
}

}  // namespace posthorn::store_service
