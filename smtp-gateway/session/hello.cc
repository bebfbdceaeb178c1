// EHLO, HELO, LHLO, STARTTLS, AUTH.

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {
namespace {

using mail::Reply;

constexpr size_t kMaxAuthLine = 12288;  // [RFC4954 4]
constexpr std::chrono::milliseconds kAuthWait{60000};
constexpr std::chrono::milliseconds kWrite{60000};

}  // namespace

// [RFC5321 4.1.1.1] a greeting also ends the open transaction.
Reply SmtpSession::OnHello(mail::Greeting greeting, std::string_view domain) {
  transaction_.reset();
  peer_.helo = std::string(domain);
  peer_.greeting = greeting;
  Reply reply(250, base::StrCat(around_.hostname, " greets ", connection_->peer().address));
  if (greeting != mail::Greeting::kHelo) AddExtensions(reply);
  return reply;
}

void SmtpSession::AddExtensions(Reply& reply) const {
  reply.lines.push_back("PIPELINING");
  reply.lines.push_back(base::StrCat("SIZE ", max_size()));
  reply.lines.push_back("8BITMIME");
  reply.lines.push_back("SMTPUTF8");
  reply.lines.push_back("ENHANCEDSTATUSCODES");
  if (port_->offers_starttls() && !tls()) reply.lines.push_back("STARTTLS");
  if (LoginOffered() && LoginAllowed()) reply.lines.push_back("AUTH PLAIN LOGIN");
}

Reply SmtpSession::OnStartTls() {
  if (tls()) return Reply(503, {5, 5, 1}, "TLS is active already");
  if (!port_->offers_starttls()) return Reply(502, {5, 5, 1}, "STARTTLS is not available");
  start_tls_ = true;
  return Reply(220, {2, 0, 0}, "Ready to start TLS");
}

bool SmtpSession::LoginOffered() const { return submission(); }

// [RFC4954 4] passwords in clear text only where the operator said so.
bool SmtpSession::LoginAllowed() const {
  if (tls()) return true;
  if (port_->demands_tls()) return false;
  return settings_->plaintext_login() == 2 || (settings_->plaintext_login() == 1 && rights_.plaintext_login);
}

net::Task<Reply> SmtpSession::OnAuth(mail::Auth auth) {
  if (!LoginOffered()) co_return Reply(502, {5, 5, 1}, "AUTH is not available on this port");
  if (peer_.identity) co_return Reply(503, {5, 5, 1}, "Already authenticated");
  if (!LoginAllowed()) co_return Reply(538, {5, 7, 11}, "Encryption required for this authentication mechanism");
  if (auth.mechanism == "PLAIN") {
    std::string message;
    if (auth.initial) {
      message = *std::move(auth.initial);
    } else {
      absl::StatusOr<std::string> answer = co_await Challenge("");
      if (!answer.ok()) co_return Reply(501, {5, 5, 2}, base::Message(answer.status()));
      message = *std::move(answer);
    }
    std::optional<login::Plain> plain = login::ParsePlain(message);
    if (!plain) co_return Reply(501, {5, 5, 2}, "Malformed PLAIN message");
    co_return co_await Login(std::move(plain->name), std::move(plain->password));
  }
  if (auth.mechanism == "LOGIN") {
    absl::StatusOr<std::string> name = std::string();
    if (auth.initial) {
      name = *std::move(auth.initial);
    } else {
      name = co_await Challenge("Username:");
    }
    if (!name.ok()) co_return Reply(501, {5, 5, 2}, base::Message(name.status()));
    absl::StatusOr<std::string> password = co_await Challenge("Password:");
    if (!password.ok()) co_return Reply(501, {5, 5, 2}, base::Message(password.status()));
    co_return co_await Login(*std::move(name), *std::move(password));
  }
  co_return Reply(504, {5, 5, 4}, "Mechanism not available");
}

// One 334 and the client's answer, decoded. "*" cancels [RFC4954 4].
net::Task<absl::StatusOr<std::string>> SmtpSession::Challenge(std::string_view prompt) {
  connection_->Append(base::StrCat("334 ", base::Base64(prompt), "\r\n"));
  if (absl::Status written = co_await connection_->Flush(kWrite); !written.ok()) {
    close_ = true;
    co_return written;
  }
  absl::StatusOr<std::string_view> line = co_await connection_->ReadLine(kMaxAuthLine, kAuthWait);
  if (!line.ok()) {
    if (!absl::IsResourceExhausted(line.status())) close_ = true;
    co_return base::Invalid("Authentication exchange line is too long or missing");
  }
  if (*line == "*") co_return base::Invalid("Authentication cancelled");
  std::optional<std::string> decoded = base::UnBase64(*line);
  if (!decoded) co_return base::Invalid("Cannot decode base64");
  co_return *std::move(decoded);
}

net::Task<Reply> SmtpSession::Login(std::string name, std::string password) {
  login::Attempt attempt;
  attempt.name = std::move(name);
  attempt.password = std::move(password);
  attempt.peer = connection_->peer().address;
  attempt.tls = tls();
  login::Verdict verdict = co_await around_.backend.Login(std::move(attempt));
  switch (verdict.outcome) {
    case login::Outcome::kSuccess:
      peer_.identity = std::move(verdict.identity);
      peer_.guard = around_.backend.OnEnd(peer_.identity->account, [weak = weak_from_this()] {
        if (const auto session = weak.lock()) session->connection_->Close();
      });
      co_return Reply(235, {2, 7, 0}, "Authentication successful");
    case login::Outcome::kFailure: co_return Reply(535, {5, 7, 8}, "Authentication credentials invalid");
    case login::Outcome::kRefused: co_return Reply(535, {5, 7, 13}, "Account disabled");
    case login::Outcome::kBad: co_return Reply(501, {5, 5, 2}, "Malformed authentication message");
    case login::Outcome::kTemporary: break;
  }
  co_return Reply(454, {4, 7, 0}, "Temporary authentication failure");
}

}  // namespace posthorn::smtp_gateway
