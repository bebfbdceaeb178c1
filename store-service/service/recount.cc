#include "store-service/service/recount.h"

namespace posthorn::store_service {
namespace {

std::vector<MailboxId> AllMailboxes(AccountMemory& account) {
  std::vector<MailboxId> all;
  for (const auto& [id, mailbox] : account.mailboxes) all.push_back(id);
  return all;
}

void Recount(Mailbox& mailbox, AccountRow& account) {
  MailboxRow& row = mailbox.row;
  row.messages = static_cast<uint32_t>(mailbox.columns.size());
  row.unseen = row.deleted = 0;
  row.size = 0;
  for (const MessageColumns& message : mailbox.columns) {
    row.unseen += (message.flags & kSeen) == 0;
    row.deleted += (message.flags & kDeleted) != 0;
    row.size += message.size;
  }
  account.used_bytes += row.size;
  account.used_count += row.messages;
}

absl::StatusOr<bool> RecountAll(Change& change) {
  AccountMemory& account = change.account();
  account.row.used_bytes = account.row.used_count = 0;
  // Mailbox tables of gateways take a row as news only with a higher modseq.
  const ModSeq modseq = change.modseq();
  for (auto& [id, mailbox] : account.mailboxes) {
    Recount(mailbox, account.row);
    mailbox.row.modseq = modseq;
    change.rows().PutMailbox(mailbox.row);
  }
  return true;
}

}  // namespace

net::Task<absl::Status> RecountAccount(LaneEngine& lanes, base::AccountId account) {
  const absl::StatusOr<bool> done = co_await lanes.Run<bool>(account, AllMailboxes, RecountAll);
  co_return done.status();
}

}  // namespace posthorn::store_service
