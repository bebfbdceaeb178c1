#pragma once

// Hands committed changes to the open views of all gateways (deep-structures 7). On the loop.

#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store-service/auth/ticket.h"
#include "store-service/directory/accounts.h"
#include "store-service/lane/engine.h"
#include "store-service/sync/view.h"

namespace posthorn::store_service {

class SyncHub final : public CommitObserver {
 public:
  // All outlive the hub.
  SyncHub(LaneEngine& lanes, const Accounts& accounts, const TicketVerifier& tickets);

  // From now on the view is told what is committed.
  void Add(const ViewPtr& view);
  void Remove(const ViewPtr& view);

  void OnCommitted(const Batch& batch) override;
  void OnLaneLost(uint32_t lane) override;
  // What happened to it may never be told: its views are read anew.
  void OnDoubt(AccountId account) override;
  // Closes the account's views: DENIED.
  void EndSessions(AccountId account);

  LaneEngine& lanes() { return *lanes_; }
  const Accounts& accounts() const { return *accounts_; }
  const TicketVerifier& tickets() const { return *tickets_; }
  size_t views() const { return views_; }

 private:
  using Key = std::pair<AccountId, MailboxId>;
  void TellAccount(const Batch& batch, AccountId account, const std::vector<ViewPtr>& views);
  std::vector<ViewPtr> ViewsOf(AccountId account) const;

  LaneEngine* lanes_;
  const Accounts* accounts_;
  const TicketVerifier* tickets_;
  std::map<Key, std::vector<ViewPtr>> by_mailbox_;
  size_t views_ = 0;
};

}  // namespace posthorn::store_service
