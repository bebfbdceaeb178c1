#include "pop3-gateway/session/session.h"

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "pop3-gateway/session/metrics.h"

namespace posthorn::pop3_gateway {
namespace {

constexpr size_t kMaxLine = 512;        // [RFC2449 4] 255, and room for long passwords
constexpr size_t kMaxAuthLine = 12288;  // base64 of a SASL message
constexpr std::chrono::milliseconds kWrite{60000};
constexpr std::chrono::milliseconds kHandshake{30000};
constexpr std::chrono::seconds kBeforeLogin{60};

}  // namespace

Pop3Session::Pop3Session(Surroundings& surroundings, std::unique_ptr<net::Connection> connection,
                         std::shared_ptr<const gateway::Port> port)
    : around_(surroundings),
      connection_(std::move(connection)),
      port_(std::move(port)),
      settings_(around_.settings()),
      rights_(around_.rights(connection_->peer().address)),
      id_(base::MessageId::New()),
      count_(Pop3Metrics::Get().sessions, tls() ? gateway::SessionCount::Transport::kEncrypted
                                                : gateway::SessionCount::Transport::kClear) {}

Pop3Session::~Pop3Session() = default;

net::Task<void> Pop3Session::Serve(std::shared_ptr<Pop3Session> self) {
  self->drain_ = self->around_.drain.OnBegin([weak = std::weak_ptr(self)] {
    if (const auto session = weak.lock(); session && session->idle_) session->connection_->Interrupt();
  });
  co_await self->Run();
  self->maildrop_.reset();
  self->guard_.reset();
  self->drain_.reset();
  observe::Info("pop3.session.end", {{"session", self->id_.ToString()},
                                     {"peer", self->connection_->peer().address},
                                     {"tls", self->tls()},
                                     {"login", self->identity_ ? self->identity_->account : 0},
                                     {"retrieved", self->retrieved_},
                                     {"errors", self->errors_},
                                     {"out", self->connection_->bytes_written()}});
}

net::Task<void> Pop3Session::Run() {
  Ok(base::StrCat(around_.hostname, " POP3 Posthorn"));
  if (!(co_await connection_->Flush(kWrite)).ok()) co_return;
  while (co_await Turn()) {
  }
}

net::Task<bool> Pop3Session::Turn() {
  const std::chrono::seconds limit =
      maildrop_ ? std::chrono::seconds(around_.settings()->pop3_idle_timeout()) : kBeforeLogin;
  idle_ = true;
  const absl::StatusOr<std::string_view> line = co_await connection_->ReadLine(kMaxLine, limit);
  idle_ = false;
  answering_ = Verb::kUnknown;
  if (line.ok()) {
    const absl::StatusOr<Command> command = ParseCommand(*line);
    if (command.ok()) {
      answering_ = command->verb;
      co_await Obey(*command);
    } else {
      Err("", base::Message(command.status()));
    }
  } else if (absl::IsResourceExhausted(line.status())) {
    Err("", "Line too long");
  } else if (absl::IsDeadlineExceeded(line.status())) {
    // [RFC1939 3] the session ends without the update state: nothing is removed.
    Err("", "Timed out, bye");
    close_ = true;
  } else if (!absl::IsCancelled(line.status())) {
    co_return false;
  }
  if (!close_ && errors_ > settings_->max_errors()) {
    Err("", "Too many errors, bye");
    close_ = true;
  }
  if (!close_ && around_.drain.draining()) {
    Err("SYS/TEMP", "Shutting down, try again");
    close_ = true;
  }
  if (!close_ && !start_tls_ && connection_->HasLine()) co_return true;
  if (!(co_await connection_->Flush(kWrite)).ok() || close_) co_return false;
  if (!start_tls_) co_return true;
  start_tls_ = false;
  user_.clear();
  const bool secured = (co_await connection_->StartTls(port_->tls, kHandshake)).ok();
  if (secured) count_.Encrypted();
  co_return secured;
}

void Pop3Session::Ok(std::string_view text) {
  Pop3Metrics::Get().CountOk(answering_);
  connection_->Append(base::StrCat("+OK ", text, "\r\n"));
}

void Pop3Session::Err(std::string_view code, std::string_view text) {
  ++errors_;
  Pop3Metrics::Get().CountErr(answering_);
  connection_->Append(code.empty() ? base::StrCat("-ERR ", text, "\r\n")
                                   : base::StrCat("-ERR [", code, "] ", text, "\r\n"));
}

net::Task<void> Pop3Session::Obey(Command command) {
  switch (command.verb) {
    case Verb::kUnknown:
      Err("", "Command unknown");
      co_return;
    case Verb::kCapa:
      OnCapa();
      co_return;
    case Verb::kQuit:
      co_await OnQuit();
      co_return;
    default:
      break;
  }
  if (maildrop_) {
    co_await ObeyTransaction(command);
  } else {
    co_await ObeyAuthorization(command);
  }
}

net::Task<void> Pop3Session::ObeyAuthorization(Command command) {
  switch (command.verb) {
    case Verb::kUser:
      if (!LoginAllowed()) {
        Err("", "Encryption required: STLS first");
        co_return;
      }
      user_ = std::string(command.argument);
      Ok("Password, please");
      co_return;
    case Verb::kPass:
      if (user_.empty()) {
        Err("", "USER comes first");
        co_return;
      }
      co_await Login(std::move(user_), std::string(command.argument));
      user_.clear();
      co_return;
    case Verb::kAuth:
      co_await OnAuth(base::Upper(command.argument), std::string(command.initial));
      co_return;
    case Verb::kStls:
      OnStls();
      co_return;
    default:
      Err("", "Log in first");
  }
}

// [RFC2449 5]
void Pop3Session::OnCapa() {
  Ok("Capabilities follow");
  std::string list = "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\n";
  if (!maildrop_ && LoginAllowed()) list += "USER\r\nSASL PLAIN LOGIN\r\n";
  if (!maildrop_ && port_->offers_starttls() && !tls()) list += "STLS\r\n";
  connection_->Append(list + "IMPLEMENTATION Posthorn\r\n.\r\n");
}

void Pop3Session::OnStls() {
  if (tls()) return Err("", "TLS is active already");
  if (!port_->offers_starttls()) return Err("", "STLS is not available");
  // [RFC2595 4] commands pipelined behind STLS would be obeyed as if they had been encrypted.
  if (!connection_->buffered().empty()) return Err("", "Nothing may be pipelined behind STLS");
  Ok("Begin TLS");
  start_tls_ = true;
}

bool Pop3Session::LoginAllowed() const {
  if (tls()) return true;
  if (port_->demands_tls()) return false;
  return settings_->plaintext_login() == 2 || (settings_->plaintext_login() == 1 && rights_.plaintext_login);
}

// [RFC5034 4]
net::Task<void> Pop3Session::OnAuth(std::string mechanism, std::string initial) {
  if (mechanism.empty()) {
    Ok("Mechanisms follow");
    connection_->Append("PLAIN\r\nLOGIN\r\n.\r\n");
    co_return;
  }
  if (!LoginAllowed()) co_return Err("", "Encryption required: STLS first");
  if (mechanism != "PLAIN" && mechanism != "LOGIN") co_return Err("", "Mechanism not available");
  const auto is_login = mechanism == "LOGIN";
  std::vector<std::string> answers;
  if (!initial.empty()) answers.push_back(initial == "=" ? "" : std::move(initial));
  const size_t wanted = is_login ? 2 : 1;
  while (answers.size() < wanted) {
    const std::string_view prompt = !is_login ? "" : answers.empty() ? "Username:" : "Password:";
    connection_->Append(base::StrCat("+ ", base::Base64(prompt), "\r\n"));
    if (!(co_await connection_->Flush(kWrite)).ok()) {
      close_ = true;
      co_return;
    }
    const absl::StatusOr<std::string_view> line = co_await connection_->ReadLine(kMaxAuthLine, kBeforeLogin);
    if (!line.ok()) {
      close_ = !absl::IsResourceExhausted(line.status());
      co_return Err("", "Authentication line is too long or missing");
    }
    if (*line == "*") co_return Err("", "Authentication cancelled");
    answers.emplace_back(*line);
  }
  std::vector<std::string> decoded;
  for (const std::string& answer : answers) {
    std::optional<std::string> plain = base::UnBase64(answer);
    if (!plain) co_return Err("", "Cannot decode base64");
    decoded.push_back(*std::move(plain));
  }
  if (is_login) co_return co_await Login(std::move(decoded[0]), std::move(decoded[1]));
  std::optional<login::Plain> plain = login::ParsePlain(decoded[0]);
  if (!plain) co_return Err("", "Malformed PLAIN message");
  co_await Login(std::move(plain->name), std::move(plain->password));
}

net::Task<void> Pop3Session::Login(std::string name, std::string password) {
  login::Attempt attempt;
  attempt.name = std::move(name);
  attempt.password = std::move(password);
  attempt.peer = connection_->peer().address;
  attempt.tls = tls();
  login::Verdict verdict = co_await around_.backend.Login(std::move(attempt));
  // [RFC3206 4, 5]
  if (verdict.outcome == login::Outcome::kTemporary) co_return Err("SYS/TEMP", "Temporary authentication failure");
  if (verdict.outcome == login::Outcome::kBad) co_return Err("AUTH", "Malformed name or password");
  if (verdict.outcome != login::Outcome::kSuccess) co_return Err("AUTH", "Authentication failed");
  absl::StatusOr<std::unique_ptr<Maildrop>> maildrop = co_await around_.backend.Open(verdict.identity->ticket);
  if (absl::IsAlreadyExists(maildrop.status())) co_return Err("IN-USE", "Another session holds this maildrop");
  if (!maildrop.ok()) {
    observe::Warning("pop3.open", {{"session", id_.ToString()}, {"status", maildrop.status().ToString()}});
    co_return Err("SYS/TEMP", "The maildrop cannot be opened now");
  }
  identity_ = std::move(verdict.identity);
  maildrop_ = *std::move(maildrop);
  deleted_.assign(maildrop_->messages().size(), false);
  guard_ = around_.backend.OnEnd(identity_->account, [weak = weak_from_this()] {
    if (const auto session = weak.lock()) session->connection_->Close();
  });
  Ok(base::StrCat("Maildrop has ", maildrop_->messages().size(), " messages"));
}

}  // namespace posthorn::pop3_gateway
