#include "delivery-queue/remote/smtp_client.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::delivery_queue {
namespace {

constexpr size_t kMaxCommand =
    2000;  // longer ones would be cut off or refused by the peer; ours never are

void ParseAuth(std::string_view mechanisms, Offers& offers) {
  for (const std::string_view word : base::Split(mechanisms, ' ')) {
    if (base::EqualsIgnoreCase(word, "PLAIN")) offers.auth_plain = true;
    if (base::EqualsIgnoreCase(word, "LOGIN")) offers.auth_login = true;
  }
}

}  // namespace

bool Accepted(const mail::Reply& reply) { return reply.code / 100 == 2; }

Offers ParseOffers(const mail::Reply& ehlo) {
  Offers offers;
  for (size_t i = 1; i < ehlo.lines.size(); ++i) {
    const std::string_view line = base::Trim(ehlo.lines[i]);
    const size_t blank = line.find(' ');
    const std::string_view word = line.substr(0, blank);
    const std::string_view rest =
        blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
    if (base::EqualsIgnoreCase(word, "PIPELINING")) offers.pipelining = true;
    if (base::EqualsIgnoreCase(word, "STARTTLS")) offers.starttls = true;
    if (base::EqualsIgnoreCase(word, "8BITMIME")) offers.eight_bit = true;
    if (base::EqualsIgnoreCase(word, "SMTPUTF8")) offers.smtputf8 = true;
    if (base::EqualsIgnoreCase(word, "DSN")) offers.dsn = true;
    if (base::EqualsIgnoreCase(word, "SIZE"))
      offers.max_size = base::ParseInt<uint64_t>(base::Trim(rest)).value_or(0);
    if (base::EqualsIgnoreCase(word, "AUTH")) ParseAuth(rest, offers);
    // Some servers still write it as their drafts did.
    if (base::StartsWithIgnoreCase(word, "AUTH=")) {
      ParseAuth(word.substr(5), offers);
      ParseAuth(rest, offers);
    }
  }
  return offers;
}

bool Result::any_accepted() const { return std::ranges::any_of(replies, Accepted); }

void Result::Decide(const mail::Reply& reply) {
  for (mail::Reply& each : replies)
    if (each.code == 0 || Accepted(each)) each = reply;
}

// `limit` is for all lines together: a server that says one a minute is no server.
net::Task<absl::StatusOr<mail::Reply>> SmtpClient::ReadReply(std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + limit;
  mail::ReplyBuilder builder;
  size_t size = 0;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    CO_ASSIGN_OR_RETURN(
        const std::string_view line,
        co_await connection_->ReadLine(kMaxReplyLine, std::max(left, Patience::Time(0))));
    size += line.size();
    if (size > kMaxReply) co_return base::Unavailable("the reply is too long");
    switch (builder.Add(line)) {
      case mail::ReplyBuilder::State::kMore:
        break;
      case mail::ReplyBuilder::State::kDone:
        co_return builder.reply();
      case mail::ReplyBuilder::State::kBroken:
        co_return base::Unavailable("not an SMTP reply");
    }
  }
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::Command(std::string line,
                                                           std::chrono::milliseconds limit) {
  connection_->Append(line);
  CO_RETURN_IF_ERROR(co_await connection_->Flush(limit));
  co_return co_await ReadReply(limit);
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::ReadGreeting() {
  return ReadReply(patience_.greeting);
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::Hello(std::string hostname) {
  offers_ = Offers();
  CO_ASSIGN_OR_RETURN(mail::Reply reply,
                      co_await Command(base::StrCat("EHLO ", hostname, "\r\n"), patience_.command));
  if (reply.code == 250) {
    offers_ = ParseOffers(reply);
    co_return reply;
  }
  // [RFC5321 3.2] servers that do not know EHLO
  if (reply.code / 100 != 5) co_return reply;
  co_return co_await Command(base::StrCat("HELO ", hostname, "\r\n"), patience_.command);
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::StartTls(
    std::shared_ptr<const net::TlsContext> context, std::string host) {
  CO_ASSIGN_OR_RETURN(mail::Reply reply, co_await Command("STARTTLS\r\n", patience_.command));
  if (reply.code != 220) co_return reply;
  CO_RETURN_IF_ERROR(
      co_await connection_->StartTlsClient(std::move(context), std::move(host), patience_.tls));
  co_return reply;
}

net::Task<absl::Status> SmtpClient::ImplicitTls(std::shared_ptr<const net::TlsContext> context,
                                                std::string host) {
  return connection_->StartTlsClient(std::move(context), std::move(host), patience_.tls);
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::Authenticate(std::string user,
                                                                std::string password) {
  if (offers_.auth_plain) {
    const std::string secret = base::Base64(
        base::StrCat(std::string_view("\0", 1), user, std::string_view("\0", 1), password));
    CO_ASSIGN_OR_RETURN(
        mail::Reply plain,
        co_await Command(base::StrCat("AUTH PLAIN ", secret, "\r\n"), patience_.command));
    // [RFC4954 6] 504: offered, but not for this session.
    if (plain.code != 504 || !offers_.auth_login) co_return plain;
  }
  if (!offers_.auth_login) co_return mail::Reply();
  CO_ASSIGN_OR_RETURN(mail::Reply reply, co_await Command("AUTH LOGIN\r\n", patience_.command));
  if (reply.code != 334) co_return reply;
  CO_ASSIGN_OR_RETURN(reply, co_await Command(base::Base64(user) + "\r\n", patience_.command));
  if (reply.code != 334) co_return reply;
  co_return co_await Command(base::Base64(password) + "\r\n", patience_.command);
}

std::string SmtpClient::MailCommand(const Transaction& transaction) const {
  std::string line = base::StrCat("MAIL FROM:<", transaction.sender, ">");
  if (offers_.max_size != 0) base::StrAppend(line, " SIZE=", transaction.size);
  // What is 8-bit goes out as it is also where 8BITMIME is not offered: re-encoding would break
  // signatures, and the servers that mind are gone.
  if (transaction.body_8bit && offers_.eight_bit) line += " BODY=8BITMIME";
  if (transaction.smtputf8 && offers_.smtputf8) line += " SMTPUTF8";
  if (offers_.dsn && !transaction.ret.empty()) base::StrAppend(line, " RET=", transaction.ret);
  if (offers_.dsn && !transaction.envid.empty() && line.size() < kMaxCommand)
    base::StrAppend(line, " ENVID=", transaction.envid);
  return line + "\r\n";
}

std::string SmtpClient::RcptCommand(const Transaction::Recipient& recipient) const {
  std::string line = base::StrCat("RCPT TO:<", recipient.address, ">");
  if (offers_.dsn && !recipient.notify.empty()) base::StrAppend(line, " NOTIFY=", recipient.notify);
  if (offers_.dsn && !recipient.orcpt.empty() && line.size() + recipient.orcpt.size() < kMaxCommand)
    base::StrAppend(line, " ORCPT=", recipient.orcpt);
  return line + "\r\n";
}

// All in one write [RFC2920 3.1]: a message costs two round trips.
net::Task<absl::StatusOr<mail::Reply>> SmtpClient::SendPipelined(const Transaction& transaction,
                                                                 Result& result) {
  connection_->Append(MailCommand(transaction));
  for (const auto& recipient : transaction.recipients) connection_->Append(RcptCommand(recipient));
  connection_->Append("DATA\r\n");
  CO_RETURN_IF_ERROR(co_await connection_->Flush(patience_.command));
  CO_ASSIGN_OR_RETURN(const mail::Reply mail, co_await ReadReply(patience_.command));
  if (mail.code == 421) co_return mail;
  for (mail::Reply& reply : result.replies) {
    CO_ASSIGN_OR_RETURN(reply, co_await ReadReply(patience_.command));
    if (reply.code == 421) co_return reply;
    // What RCPT says after a refused MAIL ("503 need MAIL") tells nobody anything.
    if (!Accepted(mail)) reply = mail;
  }
  co_return co_await ReadReply(patience_.data);
}

net::Task<absl::StatusOr<mail::Reply>> SmtpClient::SendInTurn(const Transaction& transaction,
                                                              Result& result) {
  CO_ASSIGN_OR_RETURN(const mail::Reply mail,
                      co_await Command(MailCommand(transaction), patience_.command));
  if (mail.code == 421) co_return mail;
  if (!Accepted(mail)) {
    result.replies.assign(result.replies.size(), mail);
    co_return mail::Reply();
  }
  for (size_t i = 0; i < transaction.recipients.size(); ++i) {
    CO_ASSIGN_OR_RETURN(result.replies[i], co_await Command(RcptCommand(transaction.recipients[i]),
                                                            patience_.command));
    if (result.replies[i].code == 421) co_return result.replies[i];
  }
  if (!result.any_accepted()) co_return mail::Reply();
  co_return co_await Command("DATA\r\n", patience_.data);
}

net::Task<absl::Status> SmtpClient::Reset() {
  CO_ASSIGN_OR_RETURN(const mail::Reply reply, co_await Command("RSET\r\n", patience_.command));
  co_return reply.positive() ? absl::OkStatus() : base::Unavailable("RSET was refused");
}

net::Task<Result> SmtpClient::Send(const Transaction& transaction) {
  Result result;
  result.replies.resize(transaction.recipients.size());
  // The first bytes before MAIL: a body that cannot be read must not cost the peer anything.
  absl::StatusOr<std::string> first = co_await transaction.body->Next();
  if (!first.ok()) {
    result.body = first.status();
    co_return result;
  }
  absl::StatusOr<mail::Reply> data = offers_.pipelining
                                         ? co_await SendPipelined(transaction, result)
                                         : co_await SendInTurn(transaction, result);
  if (data.ok()) {
    result.connection =
        co_await AfterData(transaction, *std::move(first), *std::move(data), result);
  } else {
    result.connection = data.status();
    result.Decide(mail::Reply());
  }
  co_return result;
}

net::Task<void> SmtpClient::Quit() {
  static_cast<void>(co_await Command("QUIT\r\n", patience_.quit));
  connection_->Close();
}

}  // namespace posthorn::delivery_queue
