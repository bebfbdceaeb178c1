#include "smtp-gateway/session/session.h"

#include "lib/base/strings.h"
#include "lib/net/network.h"
#include "lib/observe/log.h"
#include "smtp-gateway/session/law.h"
#include "smtp-gateway/session/metrics.h"
#include "smtp-gateway/session/replies.h"

namespace posthorn::smtp_gateway {
namespace {

using mail::Reply;

constexpr size_t kMaxLine = 4096;  // commands; [RFC5321 4.5.3.1.4] demands 512 and what extensions add
constexpr std::chrono::milliseconds kHandshake{30000};
constexpr std::chrono::milliseconds kWrite{60000};

const gateway::SessionMetrics& MetricsOf(const gateway::Port& port) {
  const SmtpMetrics& metrics = SmtpMetrics::Get();
  if (port.config.protocol() == config::v1::SUBMISSION) return metrics.submission;
  return port.config.protocol() == config::v1::LMTP ? metrics.lmtp : metrics.smtp;
}

// Browsers and scanners on the wrong port are not worth a dialogue.
bool IsHttp(std::string_view verb) {
  for (const std::string_view method : {"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "PATCH"})
    if (base::EqualsIgnoreCase(verb, method)) return true;
  return false;
}

bool IsPublic(std::string_view text) {
  const std::optional<net::Address> address = net::ParseAddress(text);
  return address && net::IsPublicAddress(*address);
}

}  // namespace

SmtpSession::SmtpSession(Surroundings& surroundings, std::unique_ptr<net::Connection> connection,
                         std::shared_ptr<const gateway::Port> port)
    : around_(surroundings),
      connection_(std::move(connection)),
      port_(std::move(port)),
      settings_(around_.settings()),
      rights_(around_.rights(connection_->peer().address)),
      public_client_(IsPublic(connection_->peer().address)),
      id_(base::MessageId::New()),
      count_(MetricsOf(*port_), tls() ? gateway::SessionCount::Transport::kEncrypted
                                      : gateway::SessionCount::Transport::kClear),
      answering_(SmtpMetrics::kConnection) {}

SmtpSession::~SmtpSession() = default;

net::Task<void> SmtpSession::Serve(std::shared_ptr<SmtpSession> self) {
  // A session that waits for a command is told at once; one that works finishes its command first.
  self->drain_ = self->around_.drain.OnBegin([weak = std::weak_ptr(self)] {
    if (const auto session = weak.lock(); session && session->idle_) session->connection_->Interrupt();
  });
  co_await self->Run();
  self->drain_.reset();
  self->peer_.guard.reset();
  observe::Info("smtp.session.end", {{"session", self->id_.ToString()},
                                     {"peer", self->connection_->peer().address},
                                     {"port", self->port_->config.name()},
                                     {"tls", self->tls()},
                                     {"login", self->peer_.identity ? self->peer_.identity->account : 0},
                                     {"messages", self->messages_},
                                     {"errors", self->errors_},
                                     {"in", self->connection_->bytes_read()},
                                     {"out", self->connection_->bytes_written()}});
}

net::Task<void> SmtpSession::Run() {
  Send(Reply(220, base::StrCat(around_.hostname, lmtp() ? " LMTP" : " ESMTP", " Posthorn")));
  if (!(co_await connection_->Flush(kWrite)).ok()) co_return;
  while (co_await Turn()) {
  }
}

net::Task<bool> SmtpSession::Turn() {
  const auto limit = std::chrono::seconds(around_.settings()->smtp_command_timeout());
  idle_ = true;
  const absl::StatusOr<std::string_view> line = co_await connection_->ReadLine(kMaxLine, limit);
  idle_ = false;
  answering_ = SmtpMetrics::kConnection;
  if (line.ok()) {
    Send(co_await Dispatch(*line));
    answering_ = SmtpMetrics::kConnection;
  } else if (absl::IsResourceExhausted(line.status())) {
    ++errors_;
    Send(replies::LineTooLong());
  } else if (absl::IsDeadlineExceeded(line.status())) {
    Send(Goodbye(421, {4, 4, 2}, "Timed out waiting for a command"));
  } else if (!absl::IsCancelled(line.status())) {
    co_return false;
  }
  if (!close_ && errors_ > settings_->max_errors())
    Send(Goodbye(421, {4, 7, 0}, "Too many errors"));
  if (!close_ && idle_commands_ > settings_->max_commands())
    Send(Goodbye(421, {4, 7, 0}, "Too many commands without a message"));
  if (!close_ && around_.drain.draining()) {
    Send(replies::ShuttingDown(around_.hostname));
    close_ = true;
  }
  // [RFC2920 3.2] a pipelined group is answered in one write.
  if (!close_ && !start_tls_ && connection_->HasLine()) co_return true;
  if (!(co_await connection_->Flush(kWrite)).ok() || close_) co_return false;
  if (!start_tls_) co_return true;
  start_tls_ = false;
  // [RFC3207 4.2] nothing learned in clear text survives, and nothing buffered does.
  const absl::Status secured = co_await connection_->StartTls(port_->tls, kHandshake);
  transaction_.reset();
  peer_ = Peer();
  if (secured.ok()) count_.Encrypted();
  co_return secured.ok();
}

void SmtpSession::Send(const Reply& reply) {
  SmtpMetrics::Get().CountReply(answering_, reply);
  connection_->Append(Serialize(reply));
}

Reply SmtpSession::Goodbye(int code, mail::EnhancedCode enhanced, std::string_view text) {
  close_ = true;
  return Reply(code, enhanced, base::StrCat(text, " (", id_.ToString(), ")"));
}

net::Task<Reply> SmtpSession::Dispatch(std::string_view line) {
  mail::SmtpCommandOptions options;
  options.strictness = submission() ? mail::Strictness::kStrict : mail::Strictness::kLenient;
  if (transaction_ && transaction_->smtputf8) options.transaction_utf8 = mail::Utf8::kAllow;
  mail::SmtpCommand command = mail::ParseSmtpCommand(line, options);
  answering_ = command.index();
  if (kLaw[command.index()].flags & kJunk) ++idle_commands_;
  std::optional<Reply> no = Forbidden(command);
  Reply reply = no ? *std::move(no) : co_await Handle(std::move(command));
  if (reply.code >= 500) ++errors_;
  co_return reply;
}

std::optional<Reply> SmtpSession::Forbidden(const mail::SmtpCommand& command) const {
  const unsigned law = kLaw[command.index()].flags;
  if (law & (lmtp() ? kSmtpOnly : kLmtpOnly)) return replies::WrongGreeting(lmtp());
  if ((law & kBeforeTls) == 0 && port_->demands_tls() && !tls())
    return Reply(530, {5, 7, 0}, "Must issue a STARTTLS command first");
  if ((law & kNeedsGreeting) && !peer_.greeting) return Reply(503, {5, 5, 1}, "Say hello first");
  if ((law & kNeedsLogin) && submission() && !peer_.identity)
    return Reply(530, {5, 7, 0}, "Authentication required");
  if ((law & kNoTransaction) && transaction_) return Reply(503, {5, 5, 1}, "A message is open already; RSET ends it");
  if ((law & kNeedsTransaction) && !transaction_) return Reply(503, {5, 5, 1}, "MAIL comes first");
  if ((law & kNeedsRecipient) && transaction_->recipients.empty())
    return Reply(lmtp() ? 503 : 554, {5, 5, 1}, "No valid recipients");
  if ((law & kEndsGroup) && !connection_->buffered().empty())
    return Reply(503, {5, 5, 0}, "Nothing may be pipelined behind this command");
  return {};
}

net::Task<Reply> SmtpSession::Handle(mail::SmtpCommand command) {
  if (auto* ehlo = std::get_if<mail::Ehlo>(&command)) co_return OnHello(mail::Greeting::kEhlo, ehlo->domain);
  if (auto* helo = std::get_if<mail::Helo>(&command)) co_return OnHello(mail::Greeting::kHelo, helo->domain);
  if (auto* lhlo = std::get_if<mail::Lhlo>(&command)) co_return OnHello(mail::Greeting::kLhlo, lhlo->domain);
  if (auto* mail = std::get_if<mail::MailFrom>(&command)) co_return OnMail(std::move(*mail));
  if (auto* rcpt = std::get_if<mail::RcptTo>(&command)) co_return co_await OnRcpt(std::move(*rcpt));
  if (std::holds_alternative<mail::DataCommand>(command)) co_return co_await OnData();
  if (auto* auth = std::get_if<mail::Auth>(&command)) co_return co_await OnAuth(std::move(*auth));
  if (std::holds_alternative<mail::StartTls>(command)) co_return OnStartTls();
  if (std::holds_alternative<mail::Rset>(command)) {
    transaction_.reset();
    co_return Reply(250, {2, 0, 0}, "OK");
  }
  if (std::holds_alternative<mail::Noop>(command)) co_return Reply(250, {2, 0, 0}, "OK");
  if (std::holds_alternative<mail::Quit>(command)) {
    close_ = true;
    co_return Reply(221, {2, 0, 0}, base::StrCat(around_.hostname, " closing"));
  }
  // [RFC5321 7.3] neither confirms nor denies who exists.
  if (std::holds_alternative<mail::Vrfy>(command)) co_return Reply(252, {2, 1, 5}, "Send some mail, I'll try my best");
  if (std::holds_alternative<mail::Help>(command)) co_return Reply(214, {2, 0, 0}, "See RFC 5321");
  if (auto* bad = std::get_if<mail::BadCommand>(&command)) co_return bad->reply;
  if (auto* unknown = std::get_if<mail::UnknownCommand>(&command)) {
    if (IsHttp(unknown->verb)) co_return Goodbye(554, {5, 5, 1}, "This is SMTP, not HTTP");
    // A first command that is none: a peer on the wrong port, or noise. Nothing good follows.
    if (!peer_.greeting && errors_ >= 2) co_return Goodbye(421, {4, 7, 0}, "This is SMTP");
    co_return Reply(500, {5, 5, 1}, "Command unknown");
  }
  co_return Reply(502, {5, 5, 1}, "Command not available");
}

}  // namespace posthorn::smtp_gateway
