#pragma once

// A gateway knows changes that this store does not: an older backup was restored, or a fail-over
// lost commits (deep-structures 7). What clients were told then (uids, modseqs) would be given out
// again for other messages, so all mailboxes of the account get a new UIDVALIDITY.

#include "absl/status/status.h"
#include "lib/net/task.h"
#include "store-service/database/rows.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

// What a gateway says it has; of the mailbox table when `mailbox` is 0.
struct KnownState {
  MailboxId mailbox = 0;
  uint32_t uid_validity = 0;
  ModSeq modseq = 0;
};

bool IsAhead(const KnownState& known, const MailboxRow& row);
bool IsAhead(const KnownState& known, const AccountRow& row);

// Raises the alarm and gives the new UIDVALIDITYs, if `known` is still ahead: of several gateways
// that find the same loss the first one does it. Views of the mailboxes are closed on the way.
net::Task<absl::Status> BeginAnewAfterLoss(LaneEngine& lanes, AccountId account, KnownState known);

}  // namespace posthorn::store_service
