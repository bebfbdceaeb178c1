#include "imap-gateway/session/commands.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/tls_context.h"
#include "lib/observe/log.h"

namespace posthorn::imap_gateway {
namespace {

constexpr std::chrono::milliseconds kHandshakeLimit{30000};

Completion NoPlaintext() { return Completion::No("[PRIVACYREQUIRED] Passwords need TLS here"); }

net::Task<Completion> CheckPassword(Session& session, std::string name, std::string password) {
  login::Attempt attempt;
  attempt.name = std::move(name);
  attempt.password = std::move(password);
  attempt.peer = session.connection().peer().address;
  attempt.tls = session.connection().tls() != nullptr;
  const std::string shown = attempt.name;
  login::Verdict verdict = co_await session.gateway().gate.Check(std::move(attempt));
  using login::Outcome;
  switch (verdict.outcome) {
    case Outcome::kSuccess:
      session.LogIn(std::move(verdict.identity));
      co_return Completion::Ok(base::StrCat("[CAPABILITY ", session.Capabilities(), "] Logged in"));
    case Outcome::kFailure:
      observe::Info("imap.login.failed",
                    {{"name", shown}, {"peer", session.connection().peer().address}});
      co_return Completion::No("[AUTHENTICATIONFAILED] Wrong name or password");
    case Outcome::kRefused:
      co_return Completion::No("[AUTHORIZATIONFAILED] Login is not allowed for this account");
    case Outcome::kTemporary:
      co_return Completion::No("[UNAVAILABLE] Login is not possible now, try again later");
    case Outcome::kBad:
      break;
  }
  co_return Completion::No("[AUTHENTICATIONFAILED] Malformed name or password");
}

// "+ challenge", then the decoded answer. kCancelled: "*".
net::Task<absl::StatusOr<std::string>> Ask(Session& session, std::string challenge) {
  session.connection().Append(base::StrCat("+ ", base::Base64(challenge), "\r\n"));
  CO_ASSIGN_OR_RETURN(const std::string line, co_await session.ReadDialogueLine());
  if (line == "*") co_return base::Error(absl::StatusCode::kCancelled, "cancelled");
  std::optional<std::string> bytes = base::UnBase64(line);
  if (!bytes) co_return base::Invalid("expected base64");
  co_return *std::move(bytes);
}

Completion DialogueError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      return Completion::Bad("Authentication cancelled");
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
      return Completion::Bad("Expected base64");
    default:
      return Completion::Gone();
  }
}

// [RFC4959 3] "=" stands for an empty initial response.
std::optional<std::string> DecodeInitial(const std::string& text) {
  if (text == "=") return std::string();
  return base::UnBase64(text);
}

}  // namespace

// [RFC9051 6.2.1]
net::Task<Completion> OnStartTls(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  if (session.connection().tls() != nullptr) co_return Completion::Bad("TLS is on already");
  const auto context = session.port().tls;
  const Port::Tls mode = session.port().mode;
  if (!context || mode == Port::Tls::kNone || mode == Port::Tls::kImplicit)
    co_return Completion::Bad("TLS is not offered here");
  session.connection().Append(base::StrCat(session.tag(), " OK Begin TLS now\r\n"));
  if (!(co_await session.FlushNow()).ok()) co_return Completion::Gone();
  // What was buffered in plain text is dropped by the connection.
  const absl::Status status = co_await session.connection().StartTls(context, kHandshakeLimit);
  if (!status.ok()) co_return Completion::Gone();
  session.NoteEncrypted();
  co_return Completion::None();
}

// [RFC9051 6.2.3]
net::Task<Completion> OnLogin(Session& session, Input input) {
  absl::StatusOr<LoginArguments> arguments = ParseLogin(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  if (!session.MayLogIn()) co_return NoPlaintext();
  co_return co_await CheckPassword(session, std::move(arguments->name),
                                   std::move(arguments->password));
}

// [RFC9051 6.2.2]; PLAIN of [RFC4616] and the old LOGIN, which some clients know only.
net::Task<Completion> OnAuthenticate(Session& session, Input input) {
  const absl::StatusOr<AuthenticateArguments> arguments = ParseAuthenticate(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  const bool plain = arguments->mechanism == "PLAIN";
  if (!plain && arguments->mechanism != "LOGIN")
    co_return Completion::No("[CANNOT] Unknown mechanism");
  if (!session.MayLogIn()) co_return NoPlaintext();
  absl::StatusOr<std::string> first = std::string();
  if (arguments->initial_response) {
    std::optional<std::string> decoded = DecodeInitial(*arguments->initial_response);
    if (!decoded) co_return Completion::Bad("Expected base64");
    first = *std::move(decoded);
  } else {
    first = co_await Ask(session, plain ? "" : "Username:");
  }
  if (!first.ok()) co_return DialogueError(first.status());
  if (plain) {
    std::optional<login::Plain> message = login::ParsePlain(*first);
    if (!message) co_return Completion::No("[AUTHENTICATIONFAILED] Malformed name or password");
    co_return co_await CheckPassword(session, std::move(message->name),
                                     std::move(message->password));
  }
  absl::StatusOr<std::string> password = co_await Ask(session, "Password:");
  if (!password.ok()) co_return DialogueError(password.status());
  co_return co_await CheckPassword(session, *std::move(first), *std::move(password));
}

}  // namespace posthorn::imap_gateway
