#pragma once

// What one transaction writes. Rows of accounts and mailboxes are coalesced: one row a batch, the
// newest. Engines execute it in this order, which is right for every order of operations because
// ids are never reused: bodies, accounts, mailboxes, keywords, messages, copies, flags, expunges,
// deleted mailboxes, the rest.

#include <cstddef>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store-service/database/rows.h"

namespace posthorn::store_service {

class WriteBatch {
 public:
  std::vector<MessageRow> messages;
  std::vector<CopyRow> copies;
  std::vector<FlagsRow> flags;
  std::vector<ExpungeRow> expunges;
  std::vector<KeywordRow> keywords;
  std::vector<SubscriptionRow> subscriptions;
  std::vector<DeliveryRow> deliveries;
  std::vector<OperationRow> operations;
  // Operations forgotten: (account, operation).
  std::vector<std::pair<AccountId, std::string>> old_operations;
  std::vector<DeletedMailboxRow> deleted_mailboxes;

  void PutAccount(const AccountRow& row) { accounts_[row.account] = row; }
  void PutMailbox(const MailboxRow& row) { mailboxes_[{row.account, row.mailbox}] = row; }
  void DropMailbox(const DeletedMailboxRow& row) {
    mailboxes_.erase({row.account, row.mailbox});
    deleted_mailboxes.push_back(row);
  }
  // The first of equal bodies stays.
  void PutBody(BodyRow row) {
    const std::pair key{row.blob_key, row.prefix_hash};
    bodies_.try_emplace(key, std::move(row));
  }
  bool HasBody(uint64_t blob_key, uint64_t prefix_hash) const {
    return bodies_.contains({blob_key, prefix_hash});
  }

  const std::map<AccountId, AccountRow>& accounts() const { return accounts_; }
  const std::map<std::pair<AccountId, MailboxId>, MailboxRow>& mailboxes() const {
    return mailboxes_;
  }
  const std::map<std::pair<uint64_t, uint64_t>, BodyRow>& bodies() const { return bodies_; }

 private:
  std::map<AccountId, AccountRow> accounts_;
  std::map<std::pair<AccountId, MailboxId>, MailboxRow> mailboxes_;
  std::map<std::pair<uint64_t, uint64_t>, BodyRow> bodies_;
};

}  // namespace posthorn::store_service
