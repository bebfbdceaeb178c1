// SmtpClient's DATA [RFC5321 4.1.1.4].

#include "delivery-queue/remote/smtp_client.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mail/dot_codec.h"

namespace posthorn::delivery_queue {
namespace {

absl::Status Closing() { return base::Unavailable("the host closes the session"); }

}  // namespace

// Goes on from the reply to DATA; code 0: it was not sent.
net::Task<absl::Status> SmtpClient::AfterData(const Transaction& transaction, std::string first,
                                              mail::Reply data, Result& result) {
  // [RFC5321 3.8] whatever it answered, it is the last word in this session.
  if (data.code == 421) {
    result.Decide(data);
    co_return Closing();
  }
  if (data.code == 0) co_return co_await Reset();
  if (data.code == 354) {
    if (result.any_accepted())
      co_return co_await SendMessage(transaction, std::move(first), result);
    // [RFC2920 3.1] a message for nobody must be ended all the same.
    CO_ASSIGN_OR_RETURN(const mail::Reply end, co_await Command(".\r\n", patience_.final_dot));
    co_return end.code == 421 ? Closing() : absl::OkStatus();
  }
  if (data.code < 400) {
    // Nothing that was ever promised.
    result.Decide(mail::Reply(451, {4, 5, 0}, "The host answered DATA out of order"));
    co_return Closing();
  }
  result.Decide(data);
  co_return co_await Reset();
}

net::Task<absl::Status> SmtpClient::SendMessage(const Transaction& transaction, std::string first,
                                                Result& result) {
  if (absl::Status sent = co_await SendBody(transaction, std::move(first), result); !sent.ok()) {
    // Closing without the dot makes the server forget the message.
    result.Decide(mail::Reply());
    if (!result.body.ok()) co_return sent;
    co_return co_await LastWords(std::move(sent), result);
  }
  result.after_dot = true;
  KILL_POINT("remote.after_dot");
  const absl::StatusOr<mail::Reply> reply = co_await ReadReply(patience_.final_dot);
  if (!reply.ok()) {
    result.Decide(mail::Reply());
    co_return reply.status();
  }
  result.Decide(*reply);
  ++sent_;
  co_return reply->code == 421 ? Closing() : absl::OkStatus();
}

net::Task<absl::Status> SmtpClient::SendBody(const Transaction& transaction, std::string first,
                                             Result& result) {
  mail::DotEncoder encoder;
  std::string encoded;
  encoder.Encode(transaction.prefix, encoded);
  for (std::string chunk = std::move(first); !chunk.empty();) {
    encoder.Encode(chunk, encoded);
    connection_->Append(encoded);
    encoded.clear();
    if (connection_->pending() >= kWriteBlock)
      CO_RETURN_IF_ERROR(co_await connection_->Flush(patience_.block));
    absl::StatusOr<std::string> next = co_await transaction.body->Next();
    if (!next.ok()) {
      result.body = next.status();
      co_return base::Aborted("the message cannot be read");
    }
    chunk = *std::move(next);
  }
  if (transaction.may_end != nullptr && !(*transaction.may_end)()) {
    result.body = base::Unavailable("another queue may have this message soon");
    co_return base::Aborted("the message may not be ended");
  }
  encoder.Finish(encoded);
  connection_->Append(encoded);
  KILL_POINT("remote.before_dot");
  // From here on the peer may get the dot, whatever this flush says.
  result.after_dot = true;
  co_return co_await connection_->Flush(patience_.block);
}

net::Task<absl::Status> SmtpClient::LastWords(absl::Status broken, Result& result) {
  const absl::StatusOr<mail::Reply> reply = co_await ReadReply(patience_.last_words);
  if (reply.ok() && reply->code >= 400) result.Decide(*reply);
  co_return broken;
}

}  // namespace posthorn::delivery_queue
