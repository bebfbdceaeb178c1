#include "delivery-queue/remote/transaction.h"

#include "delivery-queue/core/doubles.h"
#include "delivery-queue/remote/outcome.h"
#include "delivery-queue/remote/remote_metrics.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/span.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::Entry;

void Answer(const Letter::Addressee& addressee, const RemoteOutcome& outcome) {
  RemoteMetrics::Get().CountRecipient(outcome.kind);
  (*addressee.done)(addressee.index, outcome);
}

// What makes this message impossible for this host; nothing when it may be tried.
std::optional<RemoteOutcome> Impossible(const Session& session, const Entry& entry, uint64_t size) {
  const Offers& offers = session.client.offers();
  // [RFC1870 6.1]
  if (offers.max_size != 0 && size > offers.max_size)
    return Failed(
        "5.3.4",
        base::StrCat("552 5.3.4 ", session.host, " takes at most ", offers.max_size, " bytes"),
        session.host);
  // [RFC6531 3.7.4]
  if (entry.smtputf8() && !offers.smtputf8)
    return Failed("5.6.7", base::StrCat("550 5.6.7 ", session.host, " does not know SMTPUTF8"),
                  session.host);
  return {};
}

Transaction ToTransaction(const Entry& entry, const Letter& letter, uint64_t size) {
  Transaction transaction;
  transaction.sender = entry.sender();
  transaction.size = size;
  transaction.smtputf8 = entry.smtputf8();
  transaction.body_8bit = entry.body_8bit();
  transaction.ret = entry.ret();
  transaction.envid = entry.envid();
  transaction.prefix = entry.prefix();
  for (const Letter::Addressee& addressee : letter.addressees) {
    const queue::v1::Recipient& recipient = entry.recipients(addressee.index);
    transaction.recipients.push_back({recipient.address(), recipient.notify(), recipient.orcpt()});
  }
  return transaction;
}

RemoteOutcome OutcomeOf(const Session& session, const Result& result, const mail::Reply& reply) {
  if (!result.body.ok()) {
    return Deferred("4.3.0", base::StrCat("451 4.3.0 The message cannot be sent now: ",
                                          base::Message(result.body)));
  }
  if (reply.code != 0) return FromReply(reply, session.host);
  return Deferred("4.4.2",
                  base::StrCat("421 4.4.2 The session with ", session.host, " broke off",
                               result.after_dot ? " after the message: it may arrive twice" : "",
                               ": ", base::Message(result.connection)),
                  session.host);
}

// A session that idled may be gone: that says nothing about the letter.
bool DiedIdle(const Session& session, const Letter& letter, const Result& result) {
  if (letter.again || session.client.messages_sent() == 0 || result.connection.ok() ||
      result.after_dot)
    return false;
  for (const mail::Reply& reply : result.replies)
    if (reply.code != 0 && reply.code != 421) return false;
  return result.body.ok();
}

// [RFC5321 4.5.3.1.10] "too many recipients": the rest follows at once, when some went through.
bool TooMany(const mail::Reply& reply) {
  return reply.code == 452 &&
         (reply.enhanced.status == 0 || reply.enhanced == mail::EnhancedCode{4, 5, 3});
}

void CountDoubts(const Result& result, const std::function<bool()>& may_end) {
  if (!result.after_dot) return;
  uint64_t unheard = 0, heard = 0;
  for (const mail::Reply& reply : result.replies) {
    if (reply.code == 0) ++unheard;
    if (reply.code / 100 == 2) ++heard;
  }
  // Time passed behind the dot: what another replica does meanwhile it does a second time.
  if (!may_end()) return CountPossibleDoubles("lease_lost", unheard + heard);
  CountPossibleDoubles("no_reply", unheard);
}

void Log(const Session& session, const Letter& letter, const Result& result) {
  const auto id = base::MessageId::FromBytes(letter.entry->entry().message_id());
  observe::Info("remote.attempt",
                {{"message", id ? id->ToString() : ""},
                 {"host", session.host},
                 {"recipients", letter.addressees.size()},
                 {"reply", result.replies.empty() ? "" : ReplyText(result.replies.front())},
                 {"tls", session.client.encrypted()}});
}

rpc::Span BeginSpan(const Session& session, const Letter& letter) {
  rpc::Span span;
  if (letter.traceparent.empty()) return span;
  span = rpc::Span(rpc::TraceContext::Parse(letter.traceparent), "smtp.send", rpc::Span::Kind::kClient);
  span.Set("server.address", session.host);
  span.Set("smtp.recipients", std::to_string(letter.addressees.size()));
  return span;
}

void EndSpan(rpc::Span& span, const Result& result) {
  if (!result.connection.ok()) {
    span.Fail(base::Message(result.connection));
  } else if (!result.replies.empty() && !result.replies.front().positive()) {
    span.Fail(ReplyText(result.replies.front()));
  }
  span.End();
}

}  // namespace

net::Task<Sent> SendLetter(Session& session, Bodies& bodies, Letter letter,
                           std::function<bool()> may_end) {
  const Entry& entry = letter.entry->entry();
  const uint64_t size = entry.prefix().size() + entry.blob().size();
  Sent sent;
  if (const auto impossible = Impossible(session, entry, size)) {
    for (const Letter::Addressee& addressee : letter.addressees) Answer(addressee, *impossible);
    co_return std::move(sent);
  }
  rpc::Span span = BeginSpan(session, letter);
  Transaction transaction = ToTransaction(entry, letter, size);
  const std::unique_ptr<BodyStream> body = bodies.Open(entry.blob().key(), entry.blob().size());
  transaction.body = body.get();
  transaction.may_end = &may_end;
  const Result result = co_await session.client.Send(transaction);
  Log(session, letter, result);
  EndSpan(span, result);
  CountDoubts(result, may_end);
  if (!result.connection.ok()) sent.after = After::kDead;
  if (DiedIdle(session, letter, result)) {
    letter.again = true;
    sent.rest = std::move(letter);
    co_return std::move(sent);
  }
  for (const mail::Reply& reply : result.replies)
    sent.any_good = sent.any_good || reply.code / 100 == 2;
  sent.rest.entry = letter.entry;
  sent.rest.traceparent = letter.traceparent;
  for (size_t i = 0; i < letter.addressees.size(); ++i) {
    if (sent.any_good && TooMany(result.replies[i])) {
      sent.rest.addressees.push_back(letter.addressees[i]);
      continue;
    }
    RemoteMetrics::Get().CountReply(
        session.destination, session.client.encrypted() ? Encryption::kTls : Encryption::kNone,
        result.replies[i]);
    Answer(letter.addressees[i], OutcomeOf(session, result, result.replies[i]));
  }
  co_return std::move(sent);
}

}  // namespace posthorn::delivery_queue
