#include <algorithm>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/protocol/line_ends.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/view/account_view.h"
#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr uint64_t kMaxDrained = 16 << 20;
constexpr size_t kMaxLine = 8 << 10;

// [RFC9051 5.4] The client is told why, in case it is only slow.
absl::Status Lost(Session& session, const absl::Status& status) {
  if (status.code() == absl::StatusCode::kDeadlineExceeded)
    session.RequestBye("The message did not come");
  return base::Error(absl::StatusCode::kCancelled, "client went away in its literal");
}

// Reads the literal's bytes and hands them to `call`; null: drops them. An error of the client's
// connection is returned as kCancelled; a failed store call is kept in `failed` and the rest is
// read and dropped.
net::Task<absl::Status> ReadLiteral(Session& session, uint64_t size, rpc::RawCall* call,
                                    std::string message_id, absl::Status* failed) {
  net::Connection& connection = session.connection();
  store::v1::PutRequest request;
  request.set_size_hint(size);
  request.set_message_id(std::move(message_id));
  LineEnds ends;
  for (uint64_t left = size; left > 0;) {
    if (connection.buffered().empty()) {
      const absl::Status filled = co_await connection.Fill(session.config().dialogue_timeout);
      if (!filled.ok()) co_return Lost(session, filled);
    }
    const size_t part = std::min<uint64_t>(left, connection.buffered().size());
    if (call != nullptr && failed->ok()) {
      const std::string_view piece = connection.buffered().substr(0, part);
      // [RFC9051 4.3.1] NUL needs literal8, which is not offered.
      const bool has_nul = piece.find('\0') != std::string_view::npos;
      request.set_chunk(ends.Convert(piece));
      connection.Consume(part);
      *failed = has_nul ? base::Precondition("NUL") : co_await call->Write(request);
      request.Clear();
    } else {
      connection.Consume(part);
    }
    left -= part;
  }
  co_return absl::OkStatus();
}

// The end of the command behind the literal; false when there is more (MULTIAPPEND is not offered).
net::Task<absl::StatusOr<bool>> ReadEnd(Session& session) {
  const auto line =
      co_await session.connection().ReadLine(kMaxLine, session.config().dialogue_timeout);
  if (!line.ok()) co_return Lost(session, line.status());
  co_return line->empty();
}

// Refuses before the message comes; one that comes anyway is dropped.
net::Task<Completion> Refuse(Session& session, LiteralMark literal, Completion why) {
  if (literal.synchronizing) co_return why;
  if (literal.size > kMaxDrained) co_return Completion::Bye("[TOOBIG] Message too large");
  absl::Status ignored;
  if (!(co_await ReadLiteral(session, literal.size, nullptr, {}, &ignored)).ok())
    co_return Completion::Gone();
  if (!(co_await ReadEnd(session)).ok()) co_return Completion::Gone();
  co_return why;
}

// Why the target cannot take it, before any byte is asked for.
net::Task<absl::Status> CheckTarget(Session& session, const AppendArguments& arguments) {
  CO_ASSIGN_OR_RETURN(const auto account, co_await session.Account());
  // The view may be a moment old: a name it does not know is asked for again.
  if (account->Find(arguments.mailbox) == nullptr) {
    CO_ASSIGN_OR_RETURN(const auto fresh, co_await session.FreshAccount());
    if (fresh->Find(arguments.mailbox) == nullptr) co_return base::NotFound("mailbox");
  }
  if (account->quota_bytes() != 0 &&
      account->used_bytes() + arguments.literal.size > account->quota_bytes())
    co_return base::Exhausted("quota");
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<store::v1::AppendReply>> StoreMessage(Session& session,
                                                               const AppendArguments& arguments,
                                                               store::v1::PutReply put) {
  store::v1::AppendRequest request;
  request.set_operation(NewOperation());
  request.set_mailbox(arguments.mailbox);
  store::v1::AppendMessage& message = *request.add_messages();
  *message.mutable_blob() = put.blob();
  message.set_flags(arguments.flags.system);
  for (const std::string& keyword : arguments.flags.keywords) message.add_keywords(keyword);
  if (arguments.date) {
    message.set_internal_date_ms(arguments.date->seconds * 1000);
    message.set_zone_minutes(arguments.date->zone_minutes);
  }
  co_return co_await session.gateway().store.Append(session.ticket(), std::move(request));
}

// Takes the literal and makes it durable.
net::Task<absl::StatusOr<store::v1::PutReply>> TakeMessage(Session& session, LiteralMark literal) {
  if (literal.synchronizing) {
    session.connection().Append("+ Ready\r\n");
    if (!(co_await session.FlushNow()).ok())
      co_return base::Error(absl::StatusCode::kCancelled, "client is gone");
  }
  const std::unique_ptr<rpc::RawCall> call = session.gateway().store.Put(session.ticket());
  absl::Status failed;
  CO_RETURN_IF_ERROR(co_await ReadLiteral(session, literal.size, call.get(),
                                          std::string(base::MessageId::New().bytes()), &failed));
  CO_ASSIGN_OR_RETURN(const bool ended, co_await ReadEnd(session));
  if (!ended) co_return base::Invalid("expected the end of the command");
  CO_RETURN_IF_ERROR(failed);
  call->WritesDone();
  store::v1::PutReply reply;
  CO_ASSIGN_OR_RETURN(const bool answered, co_await call->Read(reply));
  if (!answered) co_return base::Unavailable("no answer to Put");
  co_return reply;
}

Completion FromPut(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      return Completion::Gone();
    case absl::StatusCode::kInvalidArgument:
      return Completion::Bad("Expected the end of the command");
    case absl::StatusCode::kFailedPrecondition:
      return Completion::No("[CANNOT] Message contains NUL");
    // Nothing refers to the bytes yet, so all of these may be tried again.
    case absl::StatusCode::kResourceExhausted:
      return Completion::No("[UNAVAILABLE] No room for messages now");
    case absl::StatusCode::kUnknown:
      return FromStatus(base::Unavailable("put"), Doing::kStoringInto);
    default:
      return FromStatus(status, Doing::kStoringInto);
  }
}

}  // namespace

// [RFC9051 6.3.12], [RFC4315 3], [RFC7889]
net::Task<Completion> OnAppend(Session& session, Input input) {
  const std::optional<LiteralMark> mark = FindLiteralMark(input.arguments);
  const absl::StatusOr<AppendArguments> arguments = ParseAppend(input.arguments);
  if (!arguments.ok()) {
    if (!mark) co_return FromParse(arguments.status());
    co_return co_await Refuse(session, *mark, FromParse(arguments.status()));
  }
  const LiteralMark literal = arguments->literal;
  if (literal.size > session.config().max_message_size)
    co_return co_await Refuse(session, literal, Completion::No("[TOOBIG] Message too large"));
  if (literal.size == 0)
    co_return co_await Refuse(session, literal, Completion::No("[CANNOT] Empty message"));
  const absl::Status target = co_await CheckTarget(session, *arguments);
  if (!target.ok())
    co_return co_await Refuse(session, literal, FromStatus(target, Doing::kStoringInto));
  absl::StatusOr<store::v1::PutReply> put = co_await TakeMessage(session, literal);
  if (!put.ok()) co_return FromPut(put.status());
  const auto reply = co_await StoreMessage(session, *arguments, *std::move(put));
  if (!reply.ok()) co_return FromStatus(reply.status(), Doing::kStoringInto);
  session.gateway().metrics.appended->Add();
  for (const store::v1::Reached& reached : reply->reached()) {
    const absl::Status seen = co_await session.WaitForOwn(reached.mailbox(), reached.modseq());
    if (!seen.ok())
      co_return Completion::Bye("[UNAVAILABLE] Lost the mail storage during a change");
  }
  const uint32_t uid = reply->uids_size() > 0 ? reply->uids(0) : 0;
  co_return Completion::Ok(
      base::StrCat("[APPENDUID ", reply->uid_validity(), " ", uid, "] APPEND completed"));
}

}  // namespace posthorn::imap_gateway
