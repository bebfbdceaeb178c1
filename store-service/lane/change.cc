#include "store-service/lane/change.h"

#include <algorithm>
#include <utility>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr int64_t kOperationLifeMs = 10 * 60 * 1000;

size_t FindKeyword(const Mailbox& mailbox, std::string_view name) {
  // [RFC9051 2.3.2] keywords are compared without regard to case.
  const auto found =
      std::find_if(mailbox.keywords.begin(), mailbox.keywords.end(),
                   [&](const std::string& known) { return base::EqualsIgnoreCase(known, name); });
  return static_cast<size_t>(found - mailbox.keywords.begin());
}

}  // namespace

ModSeq Change::modseq() {
  if (modseq_ == 0) modseq_ = ++account_->row.modseq;
  return modseq_;
}

Delta& Change::DeltaOf(Mailbox& mailbox) {
  std::shared_ptr<Delta>& delta = deltas_[mailbox.row.mailbox];
  if (!delta) {
    delta = std::make_shared<Delta>();
    delta->account = account_->row.account;
    delta->mailbox = mailbox.row.mailbox;
    delta->modseq = modseq();
    delta->operation = operation_;
    delta->accepted_ms = accepted_ms_;
    delta->traceparent = traceparent_;
    mailbox.row.modseq = modseq();
  }
  return *delta;
}

void Change::Count(Mailbox& mailbox, const MessageColumns& row, int sign) {
  const auto step = static_cast<uint32_t>(sign);
  mailbox.row.messages += step;
  if ((row.flags & kSeen) == 0) mailbox.row.unseen += step;
  if ((row.flags & kDeleted) != 0) mailbox.row.deleted += step;
  const uint64_t size = sign > 0 ? row.size : uint64_t{0} - row.size;
  mailbox.row.size += size;
  account_->row.used_bytes += size;
  account_->row.used_count += static_cast<uint64_t>(static_cast<int64_t>(sign));
}

// Never given before in this account, whatever the clock says.
uint32_t Change::NextUidValidity() const {
  return std::max(static_cast<uint32_t>(now_ms_ / 1000), account_->row.last_uid_validity + 1);
}

Mailbox& Change::CreateMailbox(std::string name, std::string special_use) {
  AccountRow& row = account_->row;
  const MailboxId id = row.next_mailbox++;
  Mailbox& mailbox = account_->mailboxes[id];
  row.last_uid_validity = NextUidValidity();
  mailbox.row = {.account = row.account,
                 .mailbox = id,
                 .name = std::move(name),
                 .special_use = std::move(special_use),
                 .uid_validity = row.last_uid_validity};
  mailbox.state = Mailbox::Columns::kLoaded;  // empty: all of it is known
  account_->names[mailbox.row.name] = id;
  DeltaOf(mailbox);
  return mailbox;
}

void Change::RenameMailbox(Mailbox& mailbox, std::string name) {
  account_->names.erase(mailbox.row.name);
  mailbox.row.name = std::move(name);
  account_->names[mailbox.row.name] = mailbox.row.mailbox;
  DeltaOf(mailbox);
}

void Change::DeleteMailbox(Mailbox& mailbox) {
  auto delta = std::make_shared<Delta>();
  delta->account = account_->row.account;
  delta->mailbox = mailbox.row.mailbox;
  delta->modseq = modseq();
  delta->operation = operation_;
  delta->end = Delta::Mailbox::kDeleted;
  deleted_.push_back(std::move(delta));
  account_->row.used_bytes -= mailbox.row.size;
  account_->row.used_count -= mailbox.row.messages;
  rows_->DropMailbox({account_->row.account, mailbox.row.mailbox, modseq(), now_ms_});
  deltas_.erase(mailbox.row.mailbox);
  account_->names.erase(mailbox.row.name);
  account_->mailboxes.erase(mailbox.row.mailbox);
}

void Change::BeginAnewAfter(ModSeq known) {
  // How many ids the lost operations gave out is not known; this many were not.
  constexpr uint64_t kNeverLost = uint64_t{1} << 32;
  AccountRow& row = account_->row;
  row.modseq = std::max(row.modseq, known);
  row.next_mailbox += kNeverLost;
  row.next_email_id += kNeverLost;
  for (auto& [id, mailbox] : account_->mailboxes) {
    row.last_uid_validity = NextUidValidity();
    mailbox.row.uid_validity = row.last_uid_validity;
    DeltaOf(mailbox).end = Delta::Mailbox::kRenumbered;
    // Nobody can be told what happened since a moment before this one.
    mailbox.row.log_floor = modseq();
  }
}

void Change::Subscribe(std::string_view name, SubscriptionRow::State state) {
  const bool known = account_->subscriptions.contains(name);
  if (known == (state == SubscriptionRow::State::kSubscribed)) return;
  modseq();
  if (known) {
    account_->subscriptions.erase(account_->subscriptions.find(name));
  } else {
    account_->subscriptions.emplace(name);
  }
  rows_->subscriptions.push_back({account_->row.account, std::string(name), state});
}

bool Change::HasRoom(const Mailbox& mailbox, std::span<const std::string> names) const {
  size_t fresh = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto same = [&](const std::string& n) { return base::EqualsIgnoreCase(n, names[i]); };
    const auto before = names.first(i);
    if (FindKeyword(mailbox, names[i]) == mailbox.keywords.size() &&
        std::none_of(before.begin(), before.end(), same)) {
      ++fresh;
    }
  }
  return mailbox.keywords.size() + fresh <= kMaxKeywords;
}

KeywordBits Change::Keywords(Mailbox& mailbox, std::span<const std::string> names) {
  KeywordBits bits;
  for (const std::string& name : names) {
    const size_t bit = FindKeyword(mailbox, name);
    if (bit == mailbox.keywords.size()) {
      mailbox.keywords.push_back(name);
      rows_->keywords.push_back(
          {account_->row.account, mailbox.row.mailbox, static_cast<uint32_t>(bit), name});
      DeltaOf(mailbox).new_keywords.push_back(name);
    }
    bits.Set(static_cast<uint32_t>(bit));
  }
  return bits;
}

MessageColumns Change::Add(Mailbox& mailbox, NewMessage message) {
  MessageRow row;
  row.account = account_->row.account;
  row.mailbox = mailbox.row.mailbox;
  MessageColumns& c = row.columns;
  c.uid = mailbox.row.uid_next++;
  c.flags = message.flags & kAllFlags;
  c.zone_minutes = message.zone_minutes;
  c.modseq = modseq();
  c.keywords = message.keywords;
  c.internal_date_ms = message.internal_date_ms != 0 ? message.internal_date_ms : now_ms_;
  c.save_date_ms = now_ms_;
  c.size = message.blob_size + message.prefix_size;
  c.email_id = account_->row.next_email_id++;
  c.thread_id = c.email_id;
  c.blob_key = message.blob_key;
  row.own_prefix = std::move(message.own_prefix);
  row.prefix_hash = message.prefix_hash;
  row.prefix_size = message.prefix_size;
  row.blob_size = message.blob_size;
  const MessageColumns stored = c;
  Count(mailbox, stored, 1);
  if (mailbox.loaded()) mailbox.columns.push_back(stored);
  DeltaOf(mailbox).added.push_back(stored);
  rows_->messages.push_back(std::move(row));
  return stored;
}

void Change::SetFlags(Mailbox& mailbox, MessageColumns& row, uint16_t flags, KeywordBits keywords) {
  Count(mailbox, row, -1);
  row.flags = flags & kAllFlags;
  row.keywords = keywords;
  row.modseq = modseq();
  Count(mailbox, row, 1);
  rows_->flags.push_back(
      {account_->row.account, mailbox.row.mailbox, row.uid, row.modseq, row.flags, row.keywords});
  DeltaOf(mailbox).changed.push_back(row);
}

std::vector<UidSpan> Change::Expunge(Mailbox& mailbox,
                                     const std::function<bool(const MessageColumns&)>& goes) {
  std::vector<UidSpan> gone;
  const auto take_out = [&](const MessageColumns& row) {
    if (!goes(row)) return false;
    Count(mailbox, row, -1);
    AppendUid(gone, row.uid);
    rows_->expunges.push_back(
        {account_->row.account, mailbox.row.mailbox, modseq(), row.uid, row.blob_key, now_ms_});
    return true;
  };
  // One pass in order of uid: std::remove_if calls its predicate exactly once for each element.
  const auto end = std::remove_if(mailbox.columns.begin(), mailbox.columns.end(), take_out);
  mailbox.columns.erase(end, mailbox.columns.end());
  if (!gone.empty()) DeltaOf(mailbox).expunged = gone;
  return gone;
}

Uid Change::Copy(const Mailbox& source, const MessageColumns& row, Mailbox& target,
                 KeywordBits keywords) {
  CopyRow copy{account_->row.account, source.row.mailbox, row.uid, target.row.mailbox, row};
  MessageColumns& c = copy.columns;
  c.uid = target.row.uid_next++;
  c.modseq = modseq();
  c.keywords = keywords;
  c.save_date_ms = now_ms_;
  Count(target, c, 1);
  if (target.loaded()) target.columns.push_back(c);
  DeltaOf(target).added.push_back(c);
  rows_->copies.push_back(copy);
  return c.uid;
}

void Change::SetCounters(Mailbox& mailbox, const MailboxTotals& totals) {
  mailbox.row.messages = totals.messages;
  mailbox.row.unseen = totals.unseen;
  mailbox.row.deleted = totals.deleted;
  mailbox.row.size = totals.size;
  mailbox.row.uid_next = std::max(mailbox.row.uid_next, totals.highest_uid + 1);
  account_->row.modseq = std::max(account_->row.modseq, totals.highest_modseq);
  DeltaOf(mailbox);
}

void Change::SetUsage(uint64_t bytes, uint64_t messages) {
  modseq();
  account_->row.used_bytes = bytes;
  account_->row.used_count = messages;
}

void Change::ForgetOldOperations() {
  // At most a few a call: the work rides on writes that happen anyway.
  constexpr int kEachTime = 4;
  auto& order = account_->operation_order;
  for (int left = kEachTime; left > 0 && !order.empty(); --left) {
    const auto oldest = account_->operations.find(order.front());
    if (oldest != account_->operations.end()) {
      if (oldest->second.time_ms + kOperationLifeMs > now_ms_) return;
      rows_->old_operations.emplace_back(account_->row.account, order.front());
      account_->operations.erase(oldest);
    }
    order.pop_front();
  }
}

void Change::Remember(std::string_view operation, std::string reply) {
  if (operation.empty() || !wrote()) return;
  ForgetOldOperations();
  OperationRow row{account_->row.account, std::string(operation), now_ms_, std::move(reply)};
  account_->operations.insert_or_assign(row.operation, row);
  account_->operation_order.push_back(row.operation);
  rows_->operations.push_back(std::move(row));
}

std::vector<DeltaPtr> Change::Finish() {
  std::vector<DeltaPtr> deltas;
  if (!wrote()) return deltas;
  rows_->PutAccount(account_->row);
  for (auto& [id, delta] : deltas_) {
    const Mailbox& mailbox = *account_->Find(id);
    delta->uid_next = mailbox.row.uid_next;
    rows_->PutMailbox(mailbox.row);
    deltas.push_back(std::move(delta));
  }
  for (DeltaPtr& delta : deleted_) deltas.push_back(std::move(delta));
  return deltas;
}

}  // namespace posthorn::store_service
