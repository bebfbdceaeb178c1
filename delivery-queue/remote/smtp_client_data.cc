// SmtpClient's DATA [RFC5321 4.1.1.4].

#include "delivery-queue/remote/smtp_client.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mail/dot_codec.h"

namespace posthorn::delivery_queue {
net::Task<absl::Status> SmtpClient::SendData(const Transaction& transaction, std::string first,
                                             Result& result) {
  absl::StatusOr<mail::Reply> reply = co_await Command("DATA\r\n", kDataLimit);
  if (!reply.ok()) {
    result.Decide(mail::Reply());
    co_return reply.status();
  }
  if (reply->code != 354) {
    // A 2xx here is nothing that was ever promised.
    result.Decide(reply->positive()
                      ? mail::Reply(451, {4, 5, 0}, "The host answered DATA out of order")
                      : *reply);
    if (reply->code == 421 || reply->positive())
      co_return base::Unavailable("the host closes the session");
    co_return co_await Reset();
  }
  if (absl::Status sent = co_await SendBody(transaction, std::move(first), result); !sent.ok()) {
    // Closing without the dot makes the server forget the message.
    result.Decide(mail::Reply());
    if (!result.body.ok()) co_return sent;
    co_return co_await LastWords(std::move(sent), result);
  }
  result.after_dot = true;
  KILL_POINT("remote.after_dot");
  reply = co_await ReadReply(kFinalDotLimit);
  if (!reply.ok()) {
    result.Decide(mail::Reply());
    co_return reply.status();
  }
  result.Decide(*reply);
  ++sent_;
  co_return reply->code == 421 ? base::Unavailable("the host closes the session")
                               : absl::OkStatus();
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
      CO_RETURN_IF_ERROR(co_await connection_->Flush(kBlockLimit));
    absl::StatusOr<std::string> next = co_await transaction.body->Next();
    if (!next.ok()) {
      result.body = next.status();
      co_return base::Aborted("the message cannot be read");
    }
    chunk = *std::move(next);
  }
  encoder.Finish(encoded);
  connection_->Append(encoded);
  KILL_POINT("remote.before_dot");
  // From here on the peer may get the dot, whatever this flush says.
  result.after_dot = true;
  co_return co_await connection_->Flush(kBlockLimit);
}

net::Task<absl::Status> SmtpClient::LastWords(absl::Status broken, Result& result) {
  const absl::StatusOr<mail::Reply> reply = co_await ReadReply(kLastWordsLimit);
  if (reply.ok() && !reply->positive()) result.Decide(*reply);
  co_return broken;
}

}  // namespace posthorn::delivery_queue
