// MailQueue's entries that are not in memory: the due times, loading, and what operators do to them.

#include "delivery-queue/core/active.h"
#include "delivery-queue/core/mail_queue.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::RecipientState;
using queue::v1::StoredEntry;

constexpr int64_t kLongestTimer = 60'000;
constexpr uint64_t kSlotBytes = 200;  // an entry in slots_, due_ and blobs_, about

}  // namespace

void MailQueue::PumpDue() {
  const int64_t now = base::WallMillis();
  while (!due_.empty() && due_.begin()->first <= now && counts_.active < limits_.active) {
    const EntryKey key = due_.begin()->second;
    const int64_t due = due_.begin()->first;
    due_.erase(due_.begin());
    const auto found = slots_.find(key);
    // A key may stand here twice after an operator moved it; only its newest time counts.
    if (found == slots_.end() || found->second.active || found->second.held || found->second.due_ms != due) continue;
    Change(found->second, [](Slot& slot) { slot.active = std::make_shared<Active>(); });
    found->second.active->key = key;
    parts_.loop.Spawn("queue.load", Load(key));
  }
  ArmTimer();
}

void MailQueue::ArmTimer() {
  if (due_.empty() || counts_.active >= limits_.active) return;
  const int64_t at = due_.begin()->first;
  if (timer_ && timer_at_ <= at) return;
  timer_at_ = at;
  const int64_t wait = std::clamp<int64_t>(at - base::WallMillis(), 0, kLongestTimer);
  timer_ = parts_.loop.After(std::chrono::milliseconds(wait), [this] {
    timer_.reset();
    PumpDue();
  });
}

net::Task<absl::StatusOr<StoredEntry>> MailQueue::Look(EntryKey key) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) co_return base::NotFound("not in the queue");
  if (found->second.active && found->second.active->stored) co_return *found->second.active->stored;
  const absl::StatusOr<std::string> record = co_await parts_.journal.Read(key);
  if (!record.ok()) co_return record.status();
  StoredEntry stored;
  if (!stored.ParseFromString(*record)) co_return base::DataLoss("journal record cannot be read");
  co_return stored;
}

net::Task<void> MailQueue::Load(EntryKey key) {
  const std::shared_ptr<bool> alive = alive_;
  absl::StatusOr<StoredEntry> stored = co_await Look(key);
  if (!*alive) co_return;
  const auto found = slots_.find(key);
  if (found == slots_.end()) co_return;
  ActivePtr active = found->second.active;
  if (!stored.ok()) {
    observe::Error("queue.load", {{"message", key.message.ToString()}, {"status", stored.status().ToString()}});
    Change(found->second, [](Slot& slot) { slot.active = nullptr; });
    SetDue(key, found->second, base::WallMillis() + kLongestTimer);
    co_return;
  }
  active->stored = std::make_shared<StoredEntry>(*std::move(stored));
  active->weight.Set(active_bytes_, active->stored->ByteSizeLong());
  while (active->stored->states_size() < active->stored->entry().recipients_size()) active->stored->add_states();
  if (active->removed) co_return Finish(active);
  Run(std::move(active));
}

net::Task<bool> MailQueue::Act(EntryKey key, Action action) {
  auto found = slots_.find(key);
  if (found == slots_.end()) co_return false;
  if (found->second.active) {
    // It is being worked on: what can be stopped is what happens next.
    if (action == Action::kRemove) found->second.active->removed = true;
    if (action == Action::kHold) found->second.active->hold = true;
    if (action == Action::kRelease) found->second.active->hold = false;
    co_return action != Action::kBounce;
  }
  absl::StatusOr<StoredEntry> stored = co_await Look(key);
  found = slots_.find(key);
  if (!stored.ok() || found == slots_.end() || found->second.active) co_return false;
  auto active = std::make_shared<Active>();
  active->key = key;
  active->stored = std::make_shared<StoredEntry>(*std::move(stored));
  Change(found->second, [&](Slot& slot) {
    slot.active = active;
    slot.held = false;
  });
  active->removed = action == Action::kRemove;
  active->stored->set_held(action == Action::kHold);
  for (RecipientState& state : *active->stored->mutable_states()) {
    const bool open = state.phase() == RecipientState::READY || state.phase() == RecipientState::DEFERRED;
    if (open && action == Action::kBounce) {
      state.set_phase(RecipientState::BOUNCING);
      if (state.last_reply().empty()) state.set_last_reply("Returned by an operator");
    }
    if (open && action == Action::kRetry) state.set_phase(RecipientState::READY);
  }
  if (action == Action::kRemove) {
    Note(*active, common::v1::Event::REMOVED, common::v1::Event::OK, -1, "by an operator", "");
    Finish(active);
  } else if (action == Action::kHold || action == Action::kBounce) {
    Settle(active);
  } else {
    Run(active);
  }
  co_return true;
}

std::vector<EntryKey> MailQueue::Keys(const EntryKey* after, size_t limit) const {
  std::vector<EntryKey> keys;
  auto at = after == nullptr ? slots_.begin() : slots_.upper_bound(*after);
  for (; at != slots_.end() && keys.size() < limit; ++at) keys.push_back(at->first);
  return keys;
}

std::string MailQueue::Oldest() const {
  return slots_.empty() ? std::string(16, '\xff') : std::string(slots_.begin()->first.message.bytes());
}

std::vector<uint64_t> MailQueue::Held(const std::vector<uint64_t>& blobs) const {
  std::vector<uint64_t> held;
  for (const uint64_t blob : blobs)
    if (blobs_.contains(blob)) held.push_back(blob);
  return held;
}

MailQueue::Counts MailQueue::counts() const {
  Counts counts = counts_;
  counts.bytes = *active_bytes_ + slots_.size() * kSlotBytes;
  counts.oldest_ms = slots_.empty() ? 0 : slots_.begin()->first.message.millis();
  return counts;
}

}  // namespace posthorn::delivery_queue
