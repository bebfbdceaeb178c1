// DATA: from 354 to the answer after the final dot.

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/strings.h"
#include "lib/mail/date.h"
#include "lib/mail/dot_codec.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "smtp-gateway/message/intake.h"
#include "smtp-gateway/message/prefix.h"
#include "smtp-gateway/session/metrics.h"
#include "smtp-gateway/session/replies.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {
namespace {

using common::v1::Event;
using common::v1::Verdict;
using mail::Reply;

constexpr std::chrono::milliseconds kDataBlock{180000};  // [RFC5321 4.5.3.2.5]
constexpr std::chrono::milliseconds kWrite{60000};
constexpr uint32_t kMaxReceived = 50;         // [RFC5321 6.3] hops before a message is a loop
constexpr uint64_t kSwallowed = 64ULL << 20;  // of a message that is refused anyway, before the connection is closed

// Judges content that is refused only after its true end was read, so that the dialogue stays in step.
std::optional<Reply> ContentRefusal(const mail::DotDecoder& decoder, uint64_t max_size) {
  if (decoder.size() > max_size) return Reply(552, {5, 3, 4}, "Message too big for this system");
  if (decoder.has_bare_cr() || decoder.has_bare_lf())
    return Reply(550, {5, 5, 2}, "Message contains a bare CR or LF");
  if (decoder.has_nul()) return Reply(550, {5, 6, 0}, "Message contains NUL characters");
  return {};
}

}  // namespace

// Reads up to the final dot. The result is what refuses the message ("" when nothing does); an error ends the session.
net::Task<absl::StatusOr<std::optional<Reply>>> SmtpSession::ReadData(MessageIntake& intake) {
  mail::DotDecoder decoder;
  std::vector<std::string_view> pieces;
  while (!decoder.done()) {
    if (connection_->buffered().empty()) {
      const absl::Status filled = co_await connection_->Fill(kDataBlock);
      if (!filled.ok()) co_return filled;
    }
    pieces.clear();
    const size_t used = decoder.Decode(connection_->buffered(), pieces);
    const bool wanted = decoder.size() <= max_size() && !decoder.has_bare_cr() && !decoder.has_bare_lf() &&
                        !decoder.has_nul();
    if (wanted)
      for (const std::string_view piece : pieces) intake.Add(piece);
    connection_->Consume(used);
    if (intake.full() && wanted && !decoder.done()) co_await intake.Drain();
    if (decoder.size() > max_size() + kSwallowed) co_return base::Exhausted("far too big");
  }
  co_return ContentRefusal(decoder, max_size());
}

net::Task<Reply> SmtpSession::OnData() {
  Send(Reply(354, "End data with <CR><LF>.<CR><LF>"));
  if (!(co_await connection_->Flush(kWrite)).ok()) {
    close_ = true;
    co_return Reply(421, {4, 4, 2}, "Connection lost");
  }
  std::optional<MessageIntake::Scanning> scanning;
  if (!rights_.skip_spam_checks)
    scanning = {MakeEnvelope(), transaction_->envelope_verdict.value_or(Verdict())};
  BeginTrace();
  MessageIntake intake(around_.backend, connection_->loop(), std::string(transaction_->id.bytes()),
                       transaction_->size.value_or(0), std::move(scanning));
  intake.SetTrace(transaction_->span.context());
  rpc::Span reading(transaction_->span.context(), "smtp.data");
  absl::StatusOr<std::optional<Reply>> refused = co_await ReadData(intake);
  reading.End();
  if (!refused.ok()) {
    transaction_.reset();
    if (absl::IsDeadlineExceeded(refused.status())) co_return Goodbye(421, {4, 4, 2}, "Timed out inside a message");
    co_return Goodbye(552, {5, 3, 4}, "Message far too big");
  }
  answering_ = SmtpMetrics::kMessage;
  const int64_t dot = base::MonotonicMicros();
  Reply reply;
  if (*refused) {
    reply = **std::move(refused);
    NoteRefusal(reply, "");
  } else {
    MessageIntake::Result result = co_await intake.Finish();
    reply = co_await Deliver(std::move(result.stored), std::move(result.verdict));
  }
  SmtpMetrics::Get().accept_seconds->Observe(static_cast<double>(base::MonotonicMicros() - dot) / 1e6);
  EndTrace(reply);
  // [RFC2033 4.2] LMTP answers once for each recipient.
  if (lmtp())
    for (size_t i = 1; i < transaction_->recipients.size(); ++i) Send(reply);
  transaction_.reset();
  co_return reply;
}

void SmtpSession::BeginTrace() {
  rpc::Span& span = transaction_->span;
  span = rpc::Span::NewTrace("smtp.message", rpc::Span::Kind::kServer);
  if (!span.context().sampled) return;
  span.Set("message.id", transaction_->id.ToString());
  span.Set("smtp.listener", port_->config.name());
  span.Set("smtp.recipients", std::to_string(transaction_->recipients.size()));
  span.Set("client.address", connection_->peer().address);
}

void SmtpSession::EndTrace(const Reply& reply) {
  rpc::Span& span = transaction_->span;
  if (!span.context().sampled) return;
  span.Set("smtp.reply", std::to_string(reply.code));
  if (!reply.positive()) span.Fail(base::StrCat(reply.code, " ", reply.Text()));
  span.End();
}

// Everything is durable except the envelope.
net::Task<Reply> SmtpSession::Deliver(absl::StatusOr<store::v1::PutReply> stored, absl::StatusOr<Verdict> verdict) {
  if (!stored.ok()) {
    observe::Warning("smtp.store_failed", {{"session", id_.ToString()}, {"status", stored.status().ToString()}});
    co_return replies::FromFailure(stored.status(), id_.ToString());
  }
  Received received{*std::move(stored), std::nullopt};
  if (received.stored.received_count() > kMaxReceived) co_return Reply(554, {5, 4, 6}, "Too many hops: a mail loop");
  if (verdict.ok()) {
    received.verdict = *std::move(verdict);
    const std::string_view text = received.verdict->reply_text();
    std::optional<Reply> no;
    if (received.verdict->action() == Verdict::REJECT) no = Reply(554, {5, 7, 1}, text.empty() ? "Rejected as spam" : text);
    if (received.verdict->action() == Verdict::DEFER) no = Reply(451, {4, 7, 1}, text.empty() ? "Try again later" : text);
    if (no) {
      NoteRefusal(*no, "");
      NoteScore(*received.verdict);
      co_return *std::move(no);
    }
  } else if (!absl::IsFailedPrecondition(verdict.status())) {
    if (settings_->spam_down_defers()) co_return replies::FromFailure(verdict.status(), id_.ToString());
    SmtpMetrics::Get().unscored->Add();
  }
  KILL_POINT("smtp.before_enqueue");
  const absl::Status queued = co_await around_.backend.Enqueue(MakeEntry(received));
  KILL_POINT("smtp.after_enqueue");
  if (!queued.ok()) {
    observe::Warning("smtp.queue_failed", {{"session", id_.ToString()}, {"status", queued.ToString()}});
    co_return replies::FromFailure(queued, id_.ToString());
  }
  SmtpMetrics::Get().accepted->Add();
  ++messages_;
  idle_commands_ = 0;
  NoteAccepted(received);
  co_return Reply(250, {2, 0, 0}, base::StrCat("OK queued as ", transaction_->id.ToString()));
}

std::string SmtpSession::MakePrefix(const Received& received) const {
  std::string prefix;
  if (received.verdict) {
    prefix = VerdictHeaders(*received.verdict, around_.hostname);
  } else if (!rights_.skip_spam_checks) {
    prefix = "X-Spam-Status: Unknown, the scorer was away\r\n";
  }
  const auto yes_no = [](auto yes, auto no, bool which) { return which ? yes : no; };
  const std::string with = mail::WithProtocol(
      *peer_.greeting, yes_no(mail::Encrypted::kYes, mail::Encrypted::kNo, tls()),
      yes_no(mail::Authenticated::kYes, mail::Authenticated::kNo, peer_.identity != nullptr),
      yes_no(mail::Utf8::kAllow, mail::Utf8::kRefuse, transaction_->smtputf8));
  const std::string id = transaction_->id.ToString();
  const std::string cipher =
      tls() ? base::StrCat(connection_->tls()->version, " ", connection_->tls()->cipher) : std::string();
  const mail::Date now{base::WallSeconds(), 0};
  mail::ReceivedFields fields;
  fields.helo = peer_.helo;
  fields.ip = connection_->peer().address;
  fields.by = around_.hostname;
  fields.with = with;
  fields.tls = cipher;
  fields.id = id;
  if (transaction_->recipients.size() == 1) fields.for_path = transaction_->recipients.front().address();
  fields.date = now;
  prefix += mail::BuildReceived(fields);
  // [RFC6409 8] what a submission client left out.
  if (submission() && received.stored.header_message_id().empty())
    base::StrAppend(prefix, "Message-ID: <", id, "@", around_.hostname, ">\r\n");
  if (submission() && !received.stored.has_date()) base::StrAppend(prefix, "Date: ", mail::FormatDate(now), "\r\n");
  return prefix;
}

queue::v1::Entry SmtpSession::MakeEntry(const Received& received) const {
  queue::v1::Entry entry;
  entry.set_message_id(std::string(transaction_->id.bytes()));
  *entry.mutable_blob() = received.stored.blob();
  entry.set_prefix(MakePrefix(received));
  entry.set_sender(transaction_->sender);
  for (const auto& recipient : transaction_->recipients) *entry.add_recipients() = recipient;
  entry.set_received_ms(base::WallMillis());
  entry.set_smtputf8(transaction_->smtputf8 || received.stored.header_8bit());
  entry.set_body_8bit(received.stored.body_8bit());
  entry.set_ret(transaction_->ret);
  entry.set_envid(transaction_->envid);
  entry.set_subject(received.stored.subject());
  entry.set_traceparent(transaction_->span.traceparent());
  auto* source = entry.mutable_source();
  source->set_peer(connection_->peer().address);
  source->set_helo(peer_.helo);
  source->set_listener(port_->config.name());
  source->set_tls(tls());
  if (peer_.identity) {
    source->set_account(peer_.identity->account);
    source->set_login(peer_.identity->address);
  }
  return entry;
}

void SmtpSession::NoteAccepted(const Received& received) const {
  Event event;
  event.set_message_id(std::string(transaction_->id.bytes()));
  event.set_step(Event::ACCEPTED);
  event.set_outcome(Event::OK);
  event.set_sender(transaction_->sender);
  for (const auto& recipient : transaction_->recipients) {
    if (event.recipients_size() == 100) break;
    event.add_recipients(recipient.address());
  }
  event.set_recipient_count(static_cast<uint32_t>(transaction_->recipients.size()));
  event.set_peer(connection_->peer().address);
  event.set_size(received.stored.blob().size());
  if (settings_->trace_subjects()) event.set_subject(received.stored.subject());
  event.set_header_message_id(received.stored.header_message_id());
  if (peer_.identity) event.set_text(base::StrCat("login ", peer_.identity->address));
  around_.backend.Record(std::move(event));
  if (received.verdict) NoteScore(*received.verdict);
}

// Of refused mail as well: "why was my message refused" is what an operator asks the trace.
void SmtpSession::NoteScore(const Verdict& verdict) const {
  if (verdict.tests().empty()) return;
  Event scored;
  scored.set_message_id(std::string(transaction_->id.bytes()));
  scored.set_step(Event::SCORED);
  scored.set_outcome(Event::OK);
  scored.set_score(verdict.score());
  scored.set_text(Explain(verdict));
  around_.backend.Record(std::move(scored));
}

}  // namespace posthorn::smtp_gateway
