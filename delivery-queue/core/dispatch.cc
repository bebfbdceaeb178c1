// MailQueue's work on one entry: handing recipients out, and what comes back.

#include <map>

#include "delivery-queue/core/active.h"
#include "delivery-queue/core/core_metrics.h"
#include "delivery-queue/core/mail_queue.h"
#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

using common::v1::Event;
using queue::v1::Entry;
using queue::v1::Recipient;
using queue::v1::RecipientState;

// [RFC5321 4.4] Return-Path is the first line; Delivered-To names the address as the sender gave it.
std::string OwnPrefix(const Entry& entry, const Recipient& recipient) {
  std::string_view original = recipient.address();
  const std::string_view orcpt = recipient.orcpt();
  if (base::StartsWithIgnoreCase(orcpt, "rfc822;")) original = orcpt.substr(7);
  return base::StrCat("Return-Path: <", entry.sender(), ">\r\nDelivered-To: ", original, "\r\n");
}

}  // namespace

void MailQueue::Dispatch(ActivePtr active) {
  const int64_t now = base::WallMillis();
  BeginAttempt(*active);
  // One more while handing out: an outcome that comes at once must not settle the entry half handed out.
  ++active->in_flight;
  bool remote = false;
  for (int i = 0; i < active->stored->states_size(); ++i) {
    const RecipientState& state = active->stored->states(i);
    const bool due = state.phase() == RecipientState::READY ||
                     (state.phase() == RecipientState::DEFERRED && state.next_attempt_ms() <= now);
    if (!due) continue;
    ++active->in_flight;
    if (active->stored->entry().recipients(i).account() != 0) {
      DispatchLocal(active, i);
    } else {
      remote = true;
      active->stored->mutable_states(i)->set_phase(RecipientState::READY);
    }
  }
  if (remote) DispatchRemote(active);
  if (--active->in_flight == 0) Settle(std::move(active));
}

// An attempt hangs on the message's acceptance, however long ago that was.
void MailQueue::BeginAttempt(Active& active) {
  const std::string& traceparent = active.stored->entry().traceparent();
  if (traceparent.empty()) return;
  active.span = rpc::Span(rpc::TraceContext::Parse(traceparent), "queue.attempt", rpc::Span::Kind::kConsumer);
  active.span.Set("message.id", active.key.message.ToString());
}

void MailQueue::DispatchLocal(const ActivePtr& active, int recipient) {
  const Entry& entry = active->stored->entry();
  if (!active->prefix) active->prefix = std::make_shared<const std::string>(entry.prefix());
  LocalJob job;
  job.sender = entry.sender();
  job.message_id = entry.message_id();
  job.account = entry.recipients(recipient).account();
  job.blob_key = entry.blob().key();
  job.blob_size = entry.blob().size();
  job.shared_prefix = active->prefix;
  job.own_prefix = OwnPrefix(entry, entry.recipients(recipient));
  job.internal_date_ms = entry.received_ms();
  job.accepted_ms = entry.received_ms();
  job.traceparent = active->span.traceparent();
  job.done = [this, alive = alive_, active, recipient](LocalOutcome outcome) {
    if (*alive) OnLocal(active, recipient, outcome);
  };
  parts_.local.Submit(std::move(job));
}

void MailQueue::DispatchRemote(const ActivePtr& active) {
  std::map<std::string, std::vector<int>> by_domain;
  for (int i = 0; i < active->stored->states_size(); ++i) {
    const Recipient& recipient = active->stored->entry().recipients(i);
    if (recipient.account() != 0 || active->stored->states(i).phase() != RecipientState::READY) continue;
    const size_t at = recipient.address().rfind('@');
    by_domain[base::Lower(std::string_view(recipient.address()).substr(at + 1))].push_back(i);
  }
  for (auto& [domain, recipients] : by_domain) {
    RemoteJob job;
    job.entry = active->stored;
    job.traceparent = active->span.traceparent();
    job.recipients = std::move(recipients);
    job.domain = domain;
    job.done = [this, alive = alive_, active](int recipient, const RemoteOutcome& outcome) {
      if (*alive) OnRemote(active, recipient, outcome);
    };
    parts_.remote.Submit(std::move(job));
  }
}

void MailQueue::OnLocal(const ActivePtr& active, int recipient, LocalOutcome outcome) {
  KILL_POINT("queue.after_deliver");
  RecipientState* state = active->stored->mutable_states(recipient);
  active->dirty = true;
  switch (outcome) {
    case LocalOutcome::kDelivered:
      state->set_phase(RecipientState::DONE);
      CoreMetrics::ObserveSince(CoreMetrics::Get().accept_to_stored,
                                active->stored->entry().received_ms(), base::WallMillis());
      Note(*active, Event::STORED, Event::OK, recipient, "", "");
      break;
    case LocalOutcome::kUnknownAccount:
      state->set_phase(RecipientState::BOUNCING);
      state->set_status("5.1.1");
      state->set_last_reply("550 5.1.1 The account no longer exists");
      break;
    case LocalOutcome::kNoBlob:
      // Only a damaged store can say so, and it may be mended: 250 is sent after the body is durable.
      observe::Error("queue.blob_missing", {{"message", active->key.message.ToString()},
                                            {"blob", active->stored->entry().blob().key()}});
      state->set_attempts(state->attempts() + 1);
      state->set_status("4.3.0");
      state->set_last_reply("451 4.3.0 The message cannot be found in the mail store");
      PutOff(*active, recipient);
      Note(*active, Event::DEFERRED, Event::TEMPORARY, recipient, state->last_reply(), "");
      break;
  }
  if (--active->in_flight == 0) Settle(active);
}

void MailQueue::OnRemote(const ActivePtr& active, int recipient, const RemoteOutcome& outcome) {
  RecipientState* state = active->stored->mutable_states(recipient);
  active->dirty = true;
  state->set_attempts(state->attempts() + 1);
  state->set_last_reply(outcome.reply);
  state->set_status(outcome.status);
  state->set_host(outcome.host);
  state->set_replied(outcome.replied);
  const int64_t now = base::WallMillis();
  switch (outcome.kind) {
    case RemoteOutcome::Kind::kSent:
      state->set_phase(RecipientState::DONE);
      active->remote_done = true;
      CoreMetrics::ObserveSince(CoreMetrics::Get().accept_to_sent,
                                active->stored->entry().received_ms(), now);
      Note(*active, Event::SENT, Event::OK, recipient, outcome.reply, outcome.host);
      break;
    case RemoteOutcome::Kind::kFailed:
      active->span.Fail(outcome.reply);
      state->set_phase(RecipientState::BOUNCING);
      Note(*active, Event::ATTEMPT, Event::PERMANENT, recipient, outcome.reply, outcome.host);
      break;
    case RemoteOutcome::Kind::kDeferred:
      active->span.Fail(outcome.reply);
      Note(*active, Event::DEFERRED, Event::TEMPORARY, recipient, outcome.reply, outcome.host);
      PutOff(*active, recipient);
      break;
  }
  if (--active->in_flight == 0) Settle(active);
}

// Tries again later, or gives up on a message that is too old for it.
void MailQueue::PutOff(const Active& active, int recipient) {
  RecipientState* state = active.stored->mutable_states(recipient);
  const int64_t now = base::WallMillis();
  if (limits_.retry.Expired(active.stored->entry().received_ms(), now)) {
    state->set_phase(RecipientState::BOUNCING);
    // [RFC3463 3.5] delivery time expired; last_reply still says why it never worked.
    state->set_status("4.4.7");
    return;
  }
  state->set_phase(RecipientState::DEFERRED);
  state->set_next_attempt_ms(
      limits_.retry.Next(state->attempts(), now, std::hash<EntryKey>()(active.key)));
}

void MailQueue::Note(const Active& active, Event::Step step, Event::Outcome outcome, int recipient,
                     std::string_view text, std::string_view peer) {
  Event event;
  event.set_time_ms(static_cast<uint64_t>(base::WallMillis()));
  const Entry& entry = active.stored->entry();
  event.set_message_id(entry.message_id());
  event.set_step(step);
  event.set_outcome(outcome);
  if (recipient >= 0) {
    event.add_recipients(entry.recipients(recipient).address());
    event.set_recipient_count(1);
  } else {
    event.set_recipient_count(static_cast<uint32_t>(entry.recipients_size()));
    for (int i = 0; i < std::min(entry.recipients_size(), 100); ++i)
      event.add_recipients(entry.recipients(i).address());
  }
  event.set_text(std::string(text));
  event.set_peer(std::string(peer));
  parts_.record(std::move(event));
}

}  // namespace posthorn::delivery_queue
