#include "delivery-queue/core/mail_queue.h"

#include <algorithm>
#include <utility>

#include "delivery-queue/core/active.h"
#include "delivery-queue/core/core_metrics.h"
#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

using common::v1::Event;
using queue::v1::Entry;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;

constexpr int64_t kOldestAccepted = 10LL * 60 * 1000;
constexpr std::chrono::milliseconds kDirectoryAway{1000};

}  // namespace

MailQueue::MailQueue(Parts parts, Limits limits)
    : parts_(std::move(parts)), limits_(std::move(limits)), alive_(std::make_shared<bool>(true)) {
  CoreMetrics::Get();  // made now: a panel shows 0, not nothing
}

MailQueue::~MailQueue() { Stop(); }

void MailQueue::Stop() {
  *alive_ = false;
  timer_.reset();
}

absl::Status MailQueue::CheckNew(const Entry& entry) const {
  if (entry.message_id().size() != base::MessageId::kBytes) return base::Invalid("message id is not 16 bytes");
  if (entry.recipients().empty()) return base::Invalid("no recipients");
  if (entry.blob().key() == 0) return base::Invalid("no blob");
  if (!*alive_) return base::Unavailable("this queue has ended");
  RETURN_IF_ERROR(parts_.journal.Ready());
  if (base::WallMillis() - entry.received_ms() > kOldestAccepted)
    return base::Precondition("the message was stored more than 10 minutes ago");
  if (slots_.size() >= limits_.entries) return base::Exhausted("the queue is full");
  return absl::OkStatus();
}

void MailQueue::Accept(Entry entry, std::function<void(absl::Status)> answer) {
  if (absl::Status status = CheckNew(entry); !status.ok()) return answer(status);
  const EntryKey key{*base::MessageId::FromBytes(entry.message_id()), 0};
  if (const auto found = slots_.find(key); found != slots_.end())
    return answer(found->second.durable ? absl::OkStatus() : base::Unavailable("this message is on its way already"));
  auto active = std::make_shared<Active>();
  active->key = key;
  active->stored = std::make_shared<StoredEntry>();
  *active->stored->mutable_entry() = std::move(entry);
  FillStates(*active->stored);
  AddSlot(key, {active, 0, active->stored->entry().blob().key(), false, false,
                OpenRecipients(*active->stored)});
  std::string record = active->stored->SerializeAsString();
  active->weight.Set(active_bytes_, record.size());
  parts_.journal.PutNew(key, active->stored->entry().blob().key(), std::move(record),
                        [this, alive = alive_, active, answer = std::move(answer)](const absl::Status& status) {
    // What was written before the end is another's now: the caller's second try is a duplicate at worst.
    if (!*alive) return answer(base::Unavailable("this queue has ended"));
    if (!status.ok()) {
      Erase(active->key);
      return answer(status);
    }
    CoreMetrics::Get().accepted->Add();
    slots_[active->key].durable = true;
    answer(absl::OkStatus());
    KILL_POINT("queue.after_accept");
    Run(active);
  });
}

void MailQueue::Save(const ActivePtr& active, Journal::Stored stored) {
  active->dirty = false;
  std::string record = active->stored->SerializeAsString();
  active->weight.Set(active_bytes_, record.size());
  parts_.journal.Put(active->key, active->stored->entry().blob().key(), std::move(record), std::move(stored));
}

void MailQueue::Tally(const Slot& slot, int64_t sign) {
  const auto add = [sign](uint64_t& counter, uint64_t by) { counter += static_cast<uint64_t>(sign) * by; };
  add(counts_.entries, 1);
  if (slot.active) {
    add(counts_.active, 1);
    add(counts_.recipients_ready, slot.open);
  } else if (slot.held) {
    add(counts_.held, 1);
  } else {
    add(counts_.recipients_deferred, slot.open);
  }
}

void MailQueue::Change(Slot& slot, const std::function<void(Slot&)>& change) {
  Tally(slot, -1);
  change(slot);
  Tally(slot, 1);
}

void MailQueue::AddSlot(const EntryKey& key, Slot slot) {
  ++blobs_[slot.blob];
  Tally(slot, 1);
  slots_[key] = std::move(slot);
}

void MailQueue::Erase(const EntryKey& key) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  if (const auto blob = blobs_.find(found->second.blob); --blob->second == 0) blobs_.erase(blob);
  Tally(found->second, -1);
  slots_.erase(found);
}

void MailQueue::Run(ActivePtr active) {
  if (active->stored->held() || active->hold) {
    active->stored->set_held(true);
    return Defer(active, 0);
  }
  if (NeedsExpansion(*active->stored)) {
    parts_.loop.Spawn("queue.expand", ExpandAndRun(std::move(active)));
    return;
  }
  Dispatch(std::move(active));
}

net::Task<void> MailQueue::ExpandAndRun(ActivePtr active) {
  const std::shared_ptr<bool> alive = alive_;
  absl::StatusOr<std::vector<StoredEntry>> pages = base::Unavailable("not asked yet");
  for (;;) {
    pages = co_await Expand(parts_.directory, *active->stored);
    if (!*alive) co_return;
    if (pages.ok()) break;
    co_await net::Sleep(parts_.loop, kDirectoryAway);
    if (!*alive) co_return;
  }
  // Pages first, the entry itself last: until it says "expanded", a restart throws the pages away and begins anew.
  std::vector<ActivePtr> others;
  int waiting = 0;
  bool failed = false;
  net::Signal stored(parts_.loop);
  for (size_t i = 1; i < pages->size(); ++i) {
    auto page = std::make_shared<Active>();
    page->key = {active->key.message, static_cast<uint32_t>(i)};
    page->stored = std::make_shared<StoredEntry>(std::move((*pages)[i]));
    others.push_back(page);
    ++waiting;
    Save(page, [&waiting, &failed, &stored](const absl::Status& status) {
      --waiting;
      failed = failed || !status.ok();
      stored.NotifyAll();
    });
  }
  while (waiting > 0) co_await stored.Wait();
  if (!*alive) co_return;
  // A list without members: nothing is left to do.
  if (pages->empty())
    for (RecipientState& state : *active->stored->mutable_states()) state.set_phase(RecipientState::DONE);
  if (!pages->empty() && !failed) {
    StoredEntry whole = std::exchange(*active->stored, std::move(pages->front()));
    ++waiting;
    Save(active, [&waiting, &failed, &stored](const absl::Status& status) {
      --waiting;
      failed = failed || !status.ok();
      stored.NotifyAll();
    });
    while (waiting > 0) co_await stored.Wait();
    if (failed) *active->stored = std::move(whole);
  }
  if (!*alive) co_return;
  if (failed) {
    co_await net::Sleep(parts_.loop, kDirectoryAway);
    if (*alive) Run(std::move(active));
    co_return;
  }
  KILL_POINT("queue.after_expansion");
  Note(*active, Event::EXPANDED, Event::OK, -1, "", "");
  if (const auto found = slots_.find(active->key); found != slots_.end())
    Change(found->second, [&](Slot& slot) { slot.open = OpenRecipients(*active->stored); });
  for (const ActivePtr& page : others) {
    AddSlot(page->key, {page, 0, page->stored->entry().blob().key(), false, true,
                        OpenRecipients(*page->stored)});
    Dispatch(page);
  }
  Dispatch(std::move(active));
}

void MailQueue::Finish(const ActivePtr& active) {
  parts_.journal.Done(active->key, active->remote_done ? Journal::Urgency::kSoon : Journal::Urgency::kRides);
  Erase(active->key);
  PumpDue();
}

void MailQueue::Defer(const ActivePtr& active, int64_t due_ms) {
  const auto found = slots_.find(active->key);
  if (found == slots_.end()) return;
  Change(found->second, [&](Slot& slot) {
    slot.active = nullptr;
    slot.held = active->stored->held();
    slot.open = OpenRecipients(*active->stored);
  });
  SetDue(active->key, found->second, due_ms);
  PumpDue();
}

void MailQueue::SetDue(const EntryKey& key, Slot& slot, int64_t due_ms) {
  slot.due_ms = due_ms;
  if (!slot.held) due_.emplace(due_ms, key);
  ArmTimer();
}

// Called when no recipient is in anybody's hands.
void MailQueue::Settle(ActivePtr active) {
  active->span.End();
  if (active->removed) return Finish(active);
  std::vector<int> failed;
  for (int i = 0; i < active->stored->states_size(); ++i)
    if (active->stored->states(i).phase() == RecipientState::BOUNCING) failed.push_back(i);
  if (!failed.empty()) {
    parts_.loop.Spawn("queue.bounce", Bounce(std::move(active), std::move(failed)));
    return;
  }
  if (std::vector<int> late = Late(*active); !late.empty()) {
    parts_.loop.Spawn("queue.delay", TellDelay(std::move(active), std::move(late)));
    return;
  }
  const std::optional<int64_t> next = NextDue(*active->stored);
  if (!next) return Finish(active);
  if (active->hold) active->stored->set_held(true);
  Save(active, [this, alive = alive_, active, due = *next](const absl::Status& status) {
    if (!*alive) return;
    // Without the new state on disk the old one is tried again after a restart: a remote double at worst.
    if (!status.ok()) observe::Error("queue.defer.unsaved", {{"message", active->key.message.ToString()}});
    if (active->removed) return Finish(active);
    Defer(active, due);
  });
}

}  // namespace posthorn::delivery_queue
