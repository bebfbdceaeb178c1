#include "delivery-queue/core/expansion.h"

#include <deque>
#include <set>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::Recipient;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;
using store::v1::ResolveReply;

struct Pending {
  Recipient recipient;
  int depth = 0;
};

// Collects what is left, once each.
class Collector {
 public:
  explicit Collector(StoredEntry stored) : stored_(std::move(stored)) {
    stored_.set_expanded(true);
    stored_.mutable_states()->Clear();
    stored_.mutable_entry()->mutable_recipients()->Clear();
  }

  void Add(Recipient recipient, RecipientState state) {
    const std::string key = recipient.account() != 0 ? base::StrCat("#", recipient.account())
                                                     : base::Lower(recipient.address());
    if (!seen_.insert(key).second) return;
    if (pages_.empty() || pages_.back().states_size() == kPage) {
      pages_.push_back(stored_);
      pages_.back().set_part(static_cast<uint32_t>(pages_.size() - 1));
    }
    *pages_.back().mutable_entry()->add_recipients() = std::move(recipient);
    *pages_.back().add_states() = std::move(state);
  }
  void Fail(Recipient recipient, std::string status, std::string_view text) {
    RecipientState state;
    state.set_phase(RecipientState::BOUNCING);
    state.set_last_reply(base::StrCat("550 ", status, " ", text));
    state.set_status(std::move(status));
    Add(std::move(recipient), std::move(state));
  }
  std::vector<StoredEntry> Take() { return std::move(pages_); }

 private:
  StoredEntry stored_;
  std::vector<StoredEntry> pages_;
  std::set<std::string> seen_;
};

void Sort(Pending pending, const ResolveReply& reply, Collector& collector, std::deque<Pending>& todo) {
  Recipient& recipient = pending.recipient;
  switch (reply.kind()) {
    case ResolveReply::ACCOUNT:
      recipient.set_account(reply.account());
      recipient.set_detail(reply.detail());
      collector.Add(std::move(recipient), {});
      return;
    case ResolveReply::REMOTE:
      recipient.set_remote(true);
      collector.Add(std::move(recipient), {});
      return;
    case ResolveReply::ALIAS:
    case ResolveReply::LIST:
      if (pending.depth >= kMaxAliasDepth) break;
      for (const std::string& target : reply.targets()) {
        Pending next{recipient, pending.depth + 1};
        if (next.recipient.orcpt().empty()) next.recipient.set_orcpt("rfc822;" + recipient.address());
        next.recipient.set_address(target);
        todo.push_back(std::move(next));
      }
      return;
    case ResolveReply::DISABLED:
      collector.Fail(std::move(recipient), "5.2.1", "Mailbox is disabled");
      return;
    case ResolveReply::LOOP:
      break;
    default:
      collector.Fail(std::move(recipient), "5.1.1", "No such user here");
      return;
  }
  collector.Fail(std::move(recipient), "5.4.6", "Too many aliases lead to each other");
}

}  // namespace

bool NeedsExpansion(const StoredEntry& stored) {
  if (stored.expanded()) return false;
  if (stored.entry().recipients_size() > kPage) return true;
  std::set<uint64_t> accounts;
  for (const Recipient& recipient : stored.entry().recipients()) {
    if (recipient.account() == 0 && !recipient.remote()) return true;
    if (recipient.account() != 0 && !accounts.insert(recipient.account()).second) return true;
  }
  return false;
}

net::Task<absl::StatusOr<std::vector<StoredEntry>>> Expand(Directory& directory, StoredEntry stored) {
  std::deque<Pending> todo;
  for (const Recipient& recipient : stored.entry().recipients()) todo.push_back({recipient, 0});
  Collector collector(std::move(stored));
  std::set<std::string> asked;
  while (!todo.empty()) {
    Pending pending = std::move(todo.front());
    todo.pop_front();
    if (pending.recipient.account() != 0 || pending.recipient.remote()) {
      collector.Add(std::move(pending.recipient), {});
      continue;
    }
    // Lists that name each other would be asked again at every depth: once is enough.
    if (!asked.insert(base::Lower(pending.recipient.address())).second) continue;
    absl::StatusOr<ResolveReply> reply = co_await directory.Resolve(pending.recipient.address());
    if (!reply.ok()) co_return reply.status();
    Sort(std::move(pending), *reply, collector, todo);
  }
  co_return collector.Take();
}

}  // namespace posthorn::delivery_queue
