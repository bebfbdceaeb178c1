// What MailQueue tells senders: that mail is returned, or late.

#include <algorithm>

#include "delivery-queue/core/active.h"
#include "delivery-queue/core/core_metrics.h"
#include "delivery-queue/core/mail_queue.h"
#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

using common::v1::Event;
using queue::v1::Entry;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;

constexpr std::chrono::milliseconds kStoreAway{1000};

bool WaitsForAnotherHost(const StoredEntry& stored, int recipient) {
  return stored.states(recipient).phase() == RecipientState::DEFERRED &&
         stored.entry().recipients(recipient).account() == 0;
}

// A notice is due at all, now or later.
bool NoticeIsOwed(const StoredEntry& stored) {
  if (stored.delay_notified_ms() != 0 || stored.entry().sender().empty()) return false;
  for (int i = 0; i < stored.states_size(); ++i)
    if (WaitsForAnotherHost(stored, i)) return true;
  return false;
}

}  // namespace

// When the entry is to be looked at again; nothing when it is finished.
std::optional<int64_t> MailQueue::NextDue(const StoredEntry& stored) const {
  std::optional<int64_t> next;
  for (const RecipientState& state : stored.states()) {
    if (state.phase() == RecipientState::DONE || state.phase() == RecipientState::FAILED) continue;
    const int64_t at = state.phase() == RecipientState::DEFERRED ? state.next_attempt_ms() : 0;
    next = next ? std::min(*next, at) : at;
  }
  if (!next || !NoticeIsOwed(stored)) return next;
  const std::optional<int64_t> notice = limits_.retry.NoticeAt(stored.entry().received_ms());
  // One that could not be written comes with the next attempt.
  return notice && *notice > base::WallMillis() ? std::min(*next, *notice) : next;
}

// Recipients whose delay the sender is to hear of now.
std::vector<int> MailQueue::Late(const Active& active) const {
  std::vector<int> late;
  const StoredEntry& stored = *active.stored;
  const std::optional<int64_t> notice = limits_.retry.NoticeAt(stored.entry().received_ms());
  if (active.delay_tried || !notice || *notice > base::WallMillis() || !NoticeIsOwed(stored)) return late;
  for (int i = 0; i < stored.states_size(); ++i)
    if (WaitsForAnotherHost(stored, i)) late.push_back(i);
  return late;
}

// [RFC3461 4.1] once for each message (each page of a list).
net::Task<void> MailQueue::TellDelay(ActivePtr active, std::vector<int> late) {
  const std::shared_ptr<bool> alive = alive_;
  active->delay_tried = true;
  const StoredEntry& stored = *active->stored;
  absl::StatusOr<std::optional<Entry>> dsn =
      co_await parts_.reports.Write({active->stored, ReportRequest::Action::kDelayed, late,
                                     limits_.retry.ExpiresAt(stored.entry().received_ms())});
  if (!*alive) co_return;
  absl::Status status = dsn.status();
  if (dsn.ok() && dsn->has_value()) {
    net::Promise<absl::Status> accepted(parts_.loop);
    Accept(**std::move(dsn), [accepted](absl::Status answer) mutable { accepted.Set(std::move(answer)); });
    status = co_await accepted.Get();
    if (!*alive) co_return;
    if (status.ok()) CoreMetrics::Get().delay_reports->Add();
  }
  if (status.ok()) {
    active->stored->set_delay_notified_ms(base::WallMillis());
    active->dirty = true;
  } else {
    observe::Info("queue.delay_notice.failed",
                  {{"message", active->key.message.ToString()}, {"status", status.ToString()}});
  }
  Settle(std::move(active));
}

net::Task<void> MailQueue::Bounce(ActivePtr active, std::vector<int> failed) {
  const std::shared_ptr<bool> alive = alive_;
  while (!active->stored->entry().sender().empty()) {
    absl::StatusOr<std::optional<Entry>> dsn =
        co_await parts_.reports.Write({active->stored, ReportRequest::Action::kFailed, failed});
    if (!*alive) co_return;
    if (dsn.ok() && !dsn->has_value()) break;
    if (dsn.ok()) {
      net::Promise<absl::Status> accepted(parts_.loop);
      Accept(**std::move(dsn), [accepted](absl::Status status) mutable { accepted.Set(std::move(status)); });
      if ((co_await accepted.Get()).ok()) {
        CoreMetrics::Get().failure_reports->Add();
        break;
      }
    }
    if (!*alive) co_return;
    co_await net::Sleep(parts_.loop, kStoreAway);
    if (!*alive) co_return;
  }
  KILL_POINT("queue.after_bounce");
  for (const int i : failed) {
    RecipientState* state = active->stored->mutable_states(i);
    state->set_phase(RecipientState::FAILED);
    CoreMetrics::Get().CountBounce(state->status());
    Note(*active, Event::BOUNCED, Event::PERMANENT, i, state->last_reply(), state->host());
  }
  active->dirty = true;
  Settle(std::move(active));
}

}  // namespace posthorn::delivery_queue
