#include "store-service/lane/engine.h"

#include <algorithm>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

struct DefaultMailbox {
  const char* name;
  const char* special_use;
};
// Made and subscribed with every account; INBOX is always there [RFC9051 5.1].
constexpr DefaultMailbox kDefaults[] = {{"INBOX", ""},        {"Drafts", "\\Drafts"},
                                        {"Sent", "\\Sent"},   {"Junk", "\\Junk"},
                                        {"Trash", "\\Trash"}, {"Archive", "\\Archive"}};

}  // namespace

LaneEngine::LaneEngine(net::Loop& loop, Database& database, net::BlockingPool& readers,
                       LaneOptions options)
    : loop_(&loop),
      database_(&database),
      readers_(&readers),
      options_(std::move(options)),
      committer_(loop, "store-committer", 1, 1024),
      commits_(std::make_shared<Committer>(database, options_.patience, options_.before_commit)),
      lanes_(base::kLanes),
      current_(std::make_shared<Batch>()),
      renew_now_(loop),
      progress_(loop) {
  current_->number = 1;
}

LaneEngine::~LaneEngine() { *alive_ = false; }

void LaneEngine::Submit(std::unique_ptr<Operation> operation) {
  const AccountId account = operation->account();
  if (!MayBegin(account)) {
    operation->Done(base::Unavailable(base::kNotOwner));
    return;
  }
  if (gone_.contains(account)) {
    operation->Done(base::Denied("the account is gone"));
    return;
  }
  slots_[account].waiting.push_back(std::move(operation));
  Drive(account);
}

void LaneEngine::Drive(AccountId account) {
  for (;;) {
    const auto found = slots_.find(account);
    if (found == slots_.end()) return;
    Slot& slot = found->second;
    if (recovering_ || slot.phase == Slot::Phase::kLoading || slot.waiting.empty()) return;
    if (!slot.state) {
      slot.phase = Slot::Phase::kLoading;
      loop_->Spawn("lane load", LoadThenDrive(account, 0));
      return;
    }
    const MailboxId missing = MissingColumns(slot, *slot.waiting.front());
    if (missing != 0) {
      // What is pending is not in the database yet: the commit drives this account again.
      if (Pending(slot)) return;
      slot.phase = Slot::Phase::kLoading;
      loop_->Spawn("lane load", LoadThenDrive(account, missing));
      return;
    }
    if (current_->changes >= options_.max_batch_changes) {
      stalled_.push_back(account);
      return;
    }
    std::unique_ptr<Operation> operation = std::move(slot.waiting.front());
    slot.waiting.pop_front();
    Apply(slot, std::move(operation));
  }
}

MailboxId LaneEngine::MissingColumns(Slot& slot, const Operation& operation) {
  for (const MailboxId id : operation.NeededColumns(*slot.state)) {
    Mailbox* mailbox = slot.state->Find(id);
    if (mailbox == nullptr) continue;
    mailbox->last_used = ++ticks_;
    if (!mailbox->loaded()) return id;
  }
  return 0;
}

void LaneEngine::ApplyTo(Batch& batch, Slot& slot, Operation& operation, absl::Status& result) {
  AccountMemory& state = *slot.state;
  const auto take = [&](Change& change) {
    if (!change.wrote()) return;
    for (DeltaPtr& delta : change.Finish()) batch.deltas.push_back(std::move(delta));
    batch.accounts.insert(state.row.account);
    ++batch.changes;
    slot.last_batch = batch.number;
  };
  const int64_t now = base::WallMillis();
  if (state.origin == AccountMemory::Origin::kNew) {
    Change birth(state, batch.rows, now);
    for (const DefaultMailbox& mailbox : kDefaults) {
      birth.CreateMailbox(mailbox.name, mailbox.special_use);
      birth.Subscribe(mailbox.name, SubscriptionRow::State::kSubscribed);
    }
    state.origin = AccountMemory::Origin::kStored;
    take(birth);
  }
  Change change(state, batch.rows, now);
  result = operation.Apply(change);
  take(change);
}

void LaneEngine::Apply(Slot& slot, std::unique_ptr<Operation> operation) {
  slot.last_used = ++ticks_;
  absl::Status result;
  ApplyTo(*current_, slot, *operation, result);
  if (!Pending(slot)) {
    operation->Done(std::move(result));
    return;
  }
  // It wrote, or it saw what is not durable yet: answered with the batch that holds that state.
  Batch& batch = slot.last_batch == current_->number ? *current_ : *committing_;
  batch.entries.push_back({std::move(operation), std::move(result)});
  ScheduleCommit();
}

net::Task<absl::Status> LaneEngine::LoadAccount(AccountId account) {
  auto loaded =
      co_await readers_->Run([database = database_, account]() -> absl::StatusOr<AccountImage> {
        ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
        return snapshot->LoadAccount(account);
      });
  CO_RETURN_IF_ERROR(loaded.status());
  slots_[account].state = std::make_unique<AccountMemory>(*std::move(loaded));
  slots_[account].last_batch = 0;
  co_return absl::OkStatus();
}

net::Task<absl::Status> LaneEngine::LoadColumns(AccountId account, MailboxId id) {
  using Columns = std::vector<MessageColumns>;
  auto loaded =
      co_await readers_->Run([database = database_, account, id]() -> absl::StatusOr<Columns> {
        ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
        Columns rows;
        RETURN_IF_ERROR(snapshot->ReadColumns(
            account, id, 0, [&](const MessageColumns& row) { rows.push_back(row); }));
        return rows;
      });
  CO_RETURN_IF_ERROR(loaded.status());
  const auto slot = slots_.find(account);
  if (slot == slots_.end() || !slot->second.state) co_return base::Aborted("account was dropped");
  Mailbox* mailbox = slot->second.state->Find(id);
  if (mailbox == nullptr) co_return base::Aborted("mailbox was dropped");
  mailbox->columns = *std::move(loaded);
  mailbox->state = Mailbox::Columns::kLoaded;
  column_bytes_ += mailbox->column_bytes();
  co_return absl::OkStatus();
}

net::Task<void> LaneEngine::LoadThenDrive(AccountId account, MailboxId mailbox) {
  const absl::Status status =
      mailbox == 0 ? co_await LoadAccount(account) : co_await LoadColumns(account, mailbox);
  Loaded(account, status);
}

void LaneEngine::Loaded(AccountId account, const absl::Status& status) {
  const auto found = slots_.find(account);
  if (found == slots_.end()) return;
  found->second.phase = Slot::Phase::kReady;
  // kAborted: dropped meanwhile by a failed batch; the next round loads again.
  if (!status.ok() && status.code() != absl::StatusCode::kAborted) {
    FailWaiting(found->second, base::Unavailable(base::Message(status)));
  }
  Drive(account);
  Evict();
  progress_.NotifyAll();
}

void LaneEngine::FailWaiting(Slot& slot, const absl::Status& status) {
  std::deque<std::unique_ptr<Operation>> failed;
  failed.swap(slot.waiting);
  for (const auto& operation : failed) operation->Done(status);
}

void LaneEngine::DriveAll(const std::vector<AccountId>& accounts) {
  for (const AccountId account : accounts) Drive(account);
}

net::Task<void> LaneEngine::Forget(AccountId account) {
  gone_.insert(account);
  for (;;) {
    const auto found = slots_.find(account);
    if (found == slots_.end()) co_return;
    const Slot& slot = found->second;
    const bool busy = recovering_ || slot.phase == Slot::Phase::kLoading || !slot.waiting.empty() ||
                      Pending(slot);
    if (!busy) break;
    co_await progress_.Wait();
  }
  slots_.erase(account);
}

net::Task<absl::StatusOr<ModSeq>> LaneEngine::Committed(AccountId account) {
  // An operation that changes nothing: answered when what it saw is durable.
  return Run<ModSeq>(account, nullptr, [](Change& change) -> absl::StatusOr<ModSeq> {
    return change.account().row.modseq;
  });
}

void LaneEngine::Evict() {
  if (slots_.size() <= options_.max_accounts && column_bytes_ <= options_.max_column_bytes) return;
  // The older half of what is idle goes: sweeping is rare and costs one pass.
  std::vector<uint64_t> ages;
  ages.reserve(slots_.size());
  for (const auto& [account, slot] : slots_) ages.push_back(slot.last_used);
  std::nth_element(ages.begin(), ages.begin() + static_cast<ptrdiff_t>(ages.size() / 2),
                   ages.end());
  const uint64_t oldest_kept = ages[ages.size() / 2];
  const bool drop_accounts = slots_.size() > options_.max_accounts;
  column_bytes_ = 0;
  for (auto it = slots_.begin(); it != slots_.end();) {
    Slot& slot = it->second;
    const bool idle = slot.state && slot.waiting.empty() && !Pending(slot) &&
                      slot.phase == Slot::Phase::kReady && slot.last_used <= oldest_kept;
    if (idle && drop_accounts) {
      it = slots_.erase(it);
      continue;
    }
    if (slot.state) {
      for (auto& [id, mailbox] : slot.state->mailboxes) {
        if (idle) {
          mailbox.columns = {};
          mailbox.state = Mailbox::Columns::kNotLoaded;
        }
        column_bytes_ += mailbox.column_bytes();
      }
    }
    ++it;
  }
}

}  // namespace posthorn::store_service
