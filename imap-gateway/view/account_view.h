#pragma once

// The mailbox table of one account: what LIST, STATUS and name look-ups read. Kept by the Sync
// stream while somebody is logged in and has asked for it. One net::Loop.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "imap-gateway/view/sync_subscriber.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::imap_gateway {

struct MailboxInfo {
  uint64_t mailbox = 0;
  std::string name;
  std::string special_use;  // "\Sent" or empty
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  uint64_t highest_modseq = 0;
  uint32_t messages = 0;
  uint32_t unseen = 0;
  uint32_t deleted = 0;
  uint64_t size = 0;
};

class AccountView : public SyncSubscriber {
 public:
  AccountView(net::Loop& loop, std::string ticket);
  ~AccountView() override;

  using Mailboxes = std::map<std::string, std::shared_ptr<MailboxInfo>, std::less<>>;
  using Names = std::set<std::string, std::less<>>;
  const Mailboxes& mailboxes() const { return by_name_; }
  const Names& subscriptions() const { return subscriptions_; }
  // Null when there is none of that name.
  const MailboxInfo* Find(std::string_view name) const;
  bool ready() const { return ready_; }
  bool denied() const { return denied_; }
  uint64_t modseq() const { return modseq_; }
  uint64_t quota_bytes() const { return quota_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  void set_ticket(std::string ticket) { ticket_ = std::move(ticket); }

  // kDeadlineExceeded, kPermissionDenied.
  net::Task<absl::Status> WaitReady(std::chrono::milliseconds limit);
  // See MailboxView.
  net::Task<absl::Status> WaitCurrent(std::chrono::milliseconds limit);
  net::Task<absl::Status> WaitFor(uint64_t modseq, std::chrono::milliseconds limit);

  void FillOpen(posthorn::store::v1::SyncRequest& request, uint64_t view) override;
  Taken OnReply(const posthorn::store::v1::SyncReply& reply) override;

 private:
  net::Task<absl::Status> WaitUntil(std::function<bool()> there, std::chrono::milliseconds limit);
  void Apply(const posthorn::store::v1::AccountState& state);
  void Remove(uint64_t mailbox);

  std::string ticket_;
  bool ready_ = false;
  bool denied_ = false;
  bool behind_ = false;  // closed by the store, to be opened again
  uint64_t modseq_ = 0;
  uint64_t quota_bytes_ = 0;
  uint64_t used_bytes_ = 0;
  Mailboxes by_name_;
  std::unordered_map<uint64_t, std::shared_ptr<MailboxInfo>> by_id_;
  Names subscriptions_;
  net::Signal changed_;
};

}  // namespace posthorn::imap_gateway
