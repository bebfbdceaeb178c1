// What MailQueue finds in the journal at its start, and what it inherits from replicas that died.

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "delivery-queue/core/active.h"
#include "delivery-queue/core/doubles.h"
#include "delivery-queue/core/mail_queue.h"
#include "lib/base/clock.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::RecipientState;
using queue::v1::StoredEntry;

// Should the rest of a journal that is inherited never come.
constexpr int64_t kPagesAtMost = 120'000;

bool Finished(const RecipientState& state) {
  return state.phase() == RecipientState::DONE || state.phase() == RecipientState::FAILED;
}

observe::Counter* Doubles(std::string_view cause) {
  return observe::NewCounter("posthorn_queue_possible_doubles_total",
                             "Recipients at other hosts that may get a message twice", {{"cause", cause}});
}

// Recipients elsewhere whose turn it was: an attempt may have been under way.
uint64_t Attempted(const StoredEntry& stored) {
  uint64_t count = 0;
  const int64_t now = base::WallMillis();
  for (int i = 0; i < stored.states_size(); ++i) {
    const RecipientState& state = stored.states(i);
    if (stored.entry().recipients(i).account() != 0 || Finished(state) || stored.held()) continue;
    const bool waits = state.phase() == RecipientState::DEFERRED && state.next_attempt_ms() > now;
    if (!waits && state.phase() != RecipientState::BOUNCING) ++count;
  }
  return count;
}

}  // namespace

uint32_t OpenRecipients(const StoredEntry& stored) {
  return static_cast<uint32_t>(std::ranges::count_if(stored.states(), std::not_fn(Finished)));
}

void FillStates(StoredEntry& stored) {
  while (stored.states_size() < stored.entry().recipients_size()) stored.add_states();
}

void CountPossibleDoubles(std::string_view cause, uint64_t recipients) {
  Doubles(cause)->Add(static_cast<double>(recipients));
}

net::Task<absl::Status> MailQueue::Recover() {
  std::map<EntryKey, Slot> found;
  std::set<base::MessageId> unexpanded;
  uint64_t doubts = 0;
  const absl::Status status = co_await parts_.journal.ForEach([&](EntryKey key, const std::string& record) {
    StoredEntry stored;
    if (!stored.ParseFromString(record)) {
      observe::Error("queue.journal.unreadable", {{"message", key.message.ToString()}});
      return;
    }
    if (key.part == 0 && !stored.expanded()) unexpanded.insert(key.message);
    FillStates(stored);
    doubts += Attempted(stored);
    found[key] = {nullptr, NextDue(stored).value_or(0), stored.entry().blob().key(), stored.held(), true,
                  OpenRecipients(stored)};
  });
  if (!status.ok()) co_return status;
  for (auto& [key, slot] : found) {
    if (key.part != 0 && unexpanded.contains(key.message)) {
      parts_.journal.Done(key, Journal::Urgency::kRides);
      continue;
    }
    const int64_t due = slot.due_ms;
    AddSlot(key, std::move(slot));
    SetDue(key, slots_[key], due);
  }
  for (const std::string_view cause : {"no_reply", "lease_lost", "interrupted"}) CountPossibleDoubles(cause, 0);
  if (parts_.journal.interrupted()) CountPossibleDoubles("interrupted", doubts);
  if (!slots_.empty()) observe::Info("queue.recovered", {{"entries", slots_.size()}});
  PumpDue();
  parts_.journal.SetHeir({[this, alive = alive_](EntryKey key, const std::string& record) {
                            if (*alive) Inherit(key, record);
                          },
                          [this, alive = alive_](bool interrupted) {
                            if (!*alive) return;
                            BeginInherited();
                            if (interrupted) CountPossibleDoubles("interrupted", inherited_doubts_);
                            observe::Warning("queue.inherited", {{"entries", inherited_},
                                                                 {"interrupted", interrupted},
                                                                 {"possible_doubles", inherited_doubts_}});
                            inherited_ = inherited_doubts_ = 0;
                          }});
  co_return absl::OkStatus();
}

void MailQueue::Inherit(EntryKey key, const std::string& record) {
  if (inherited_unexpanded_ && inherited_unexpanded_->key.message != key.message) BeginInherited();
  if (slots_.contains(key)) return;
  StoredEntry stored;
  if (!stored.ParseFromString(record)) {
    observe::Error("queue.journal.unreadable", {{"message", key.message.ToString()}});
    return;
  }
  // Not once its own pages may lie there under the same keys.
  if (key.part != 0 && inherited_unexpanded_)
    return parts_.journal.Done(key, Journal::Urgency::kRides);
  FillStates(stored);
  ++inherited_;
  inherited_doubts_ += Attempted(stored);
  int64_t due = NextDue(stored).value_or(0);
  if (key.part == 0 && !stored.expanded()) {
    inherited_unexpanded_ = {key, due};
    due = std::max(due, base::WallMillis() + kPagesAtMost);
  }
  AddSlot(key, {nullptr, 0, stored.entry().blob().key(), stored.held(), true, OpenRecipients(stored)});
  SetDue(key, slots_[key], due);
}

void MailQueue::BeginInherited() {
  if (!inherited_unexpanded_) return;
  const auto [key, due] = *std::exchange(inherited_unexpanded_, std::nullopt);
  const auto found = slots_.find(key);
  if (found != slots_.end() && !found->second.active) SetDue(key, found->second, due);
}

}  // namespace posthorn::delivery_queue
