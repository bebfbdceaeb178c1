#include "delivery-queue/remote/session_opener.h"

#include "delivery-queue/remote/outcome.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

// How to speak to one host in one attempt.
struct Attempt {
  std::string own_hostname;
  std::shared_ptr<const net::TlsContext> tls;
  Security security = Security::kOpportunistic;
  std::string user, password;
  bool by_mx = true;
  Patience patience;
};

// In SNI and in the certificate; of a numeric address the latter only.
std::string ServerName(const Target& target) {
  return target.host.starts_with('[') ? target.address : target.host;
}

RemoteOutcome Lost(const Target& target, const absl::Status& status) {
  return Deferred(
      "4.4.2",
      base::StrCat("421 4.4.2 ", target.host, " [", target.address, "]: ", base::Message(status)),
      target.host);
}

RemoteOutcome TlsFailed(const Target& target, const absl::Status& status) {
  return Deferred("4.7.5",
                  base::StrCat("454 4.7.5 TLS with ", target.host, " [", target.address,
                               "] failed: ", base::Message(status)),
                  target.host);
}

// A refusal before MAIL is about the two hosts, not about any message: it never returns mail.
RemoteOutcome Refused(const Target& target, const mail::Reply& reply) {
  RemoteOutcome outcome = FromReply(reply, target.host);
  if (outcome.kind != RemoteOutcome::Kind::kDeferred) outcome.status = "4.3.2";
  outcome.kind = RemoteOutcome::Kind::kDeferred;
  return outcome;
}

// [RFC5321 5.1] DNS led us to ourselves by another name. Machines that nobody named share theirs.
bool IsOurs(const mail::Reply& hello, std::string_view own_hostname) {
  if (!hello.positive() || hello.lines.empty() ||
      own_hostname.find('.') == std::string_view::npos ||
      base::StartsWithIgnoreCase(own_hostname, "localhost.") ||
      own_hostname.ends_with(".localdomain"))
    return false;
  const std::string_view line = hello.lines.front();
  return base::EqualsIgnoreCase(line.substr(0, line.find(' ')), own_hostname);
}

RemoteOutcome LoopsBack(const Target& target) {
  return Failed("5.4.6", base::StrCat("554 5.4.6 Mail loops back to this host by way of ",
                                      target.host, " [", target.address, "]"));
}

// Nothing when encrypted as demanded, or in clear where that may be.
net::Task<std::optional<RemoteOutcome>> Encrypt(SmtpClient& client, const Attempt& attempt,
                                                const Target& target, absl::Status& handshake) {
  using Answer = std::optional<RemoteOutcome>;
  const bool demanded = attempt.security == Security::kRequired;
  if (attempt.security != Security::kOpportunistic && !demanded) co_return Answer();
  if (!client.offers().starttls) {
    if (!demanded) co_return Answer();
    co_return Answer(Deferred(
        "4.7.4", base::StrCat("454 4.7.4 ", target.host, " offers no STARTTLS"), target.host));
  }
  const absl::StatusOr<mail::Reply> reply =
      co_await client.StartTls(attempt.tls, ServerName(target));
  if (!reply.ok()) {
    handshake = reply.status();
    co_return Answer(TlsFailed(target, reply.status()));
  }
  if (reply->code != 220) {
    if (!demanded) co_return Answer();
    RemoteOutcome refused = Refused(target, *reply);
    if (!refused.status.starts_with("4.7.")) refused.status = "4.7.4";
    co_return Answer(std::move(refused));
  }
  const absl::StatusOr<mail::Reply> hello = co_await client.Hello(attempt.own_hostname);
  // In TLS 1.3 a server that does not like the handshake says so after the client was content.
  if (!hello.ok()) {
    handshake = hello.status();
    co_return Answer(TlsFailed(target, hello.status()));
  }
  if (!hello->positive()) co_return Answer(Refused(target, *hello));
  co_return Answer();
}

net::Task<std::optional<RemoteOutcome>> LogIn(SmtpClient& client, const Attempt& attempt,
                                              const Target& target) {
  using Answer = std::optional<RemoteOutcome>;
  if (attempt.user.empty()) co_return Answer();
  // A password is worth more than one message: in clear only where the operator said so.
  if (!client.encrypted() && attempt.security != Security::kNone)
    co_return Answer(Deferred("4.7.0",
                              base::StrCat("454 4.7.0 No TLS with ", target.host, ", so no login"),
                              target.host));
  const absl::StatusOr<mail::Reply> reply =
      co_await client.Authenticate(attempt.user, attempt.password);
  if (!reply.ok()) co_return Answer(Lost(target, reply.status()));
  if (reply->code == 0)
    co_return Answer(Deferred(
        "4.7.0", base::StrCat("454 4.7.0 ", target.host, " offers no login we know"), target.host));
  if (!reply->positive() || reply->code == 334) co_return Answer(Refused(target, *reply));
  co_return Answer();
}

// One connection; `handshake` says when it was TLS that failed.
net::Task<Opened> OpenOnce(net::Loop& loop, Target target, Attempt attempt,
                           absl::Status& handshake) {
  absl::StatusOr<std::unique_ptr<net::Connection>> connection =
      co_await net::Connect(loop, target.address, target.port, "", attempt.patience.connect);
  if (!connection.ok())
    co_return Opened(Deferred("4.4.1", base::StrCat("421 4.4.1 ", target.host, " [", target.address,
                                                    "]: ", base::Message(connection.status()))));
  auto session = std::make_unique<Session>(SmtpClient(*std::move(connection), attempt.patience),
                                           target.host, Place());
  SmtpClient& client = session->client;
  if (attempt.security == Security::kImplicit) {
    const absl::Status status = co_await client.ImplicitTls(attempt.tls, ServerName(target));
    if (!status.ok()) co_return Opened(TlsFailed(target, status));
  }
  const absl::StatusOr<mail::Reply> greeting = co_await client.ReadGreeting();
  if (!greeting.ok()) co_return Opened(Lost(target, greeting.status()));
  if (greeting->code != 220) {
    RemoteOutcome refused = Refused(target, *greeting);
    co_await client.Quit();
    co_return Opened(std::move(refused));
  }
  const absl::StatusOr<mail::Reply> hello = co_await client.Hello(attempt.own_hostname);
  if (!hello.ok()) co_return Opened(Lost(target, hello.status()));
  std::optional<RemoteOutcome> failure;
  if (!hello->positive()) failure = Refused(target, *hello);
  if (attempt.by_mx && IsOurs(*hello, attempt.own_hostname)) failure = LoopsBack(target);
  if (!failure) failure = co_await Encrypt(client, attempt, target, handshake);
  if (!failure) failure = co_await LogIn(client, attempt, target);
  if (!failure) co_return Opened(std::move(session));
  if (handshake.ok()) co_await client.Quit();
  co_return Opened(*std::move(failure));
}

net::Task<Opened> OpenTarget(net::Loop& loop, Target target, Attempt attempt) {
  absl::Status handshake;
  Opened opened = co_await OpenOnce(loop, target, attempt, handshake);
  if (handshake.ok() || attempt.security != Security::kOpportunistic) co_return std::move(opened);
  // [RFC7435] encryption that nobody verifies is no reason not to deliver.
  observe::Info("remote.tls_failed", {{"host", target.host}, {"status", handshake.ToString()}});
  if (!attempt.user.empty()) co_return std::move(opened);
  attempt.security = Security::kNone;
  handshake = absl::OkStatus();
  co_return co_await OpenOnce(loop, std::move(target), std::move(attempt), handshake);
}

net::Task<Opened> OpenAny(OpenRequest request) {
  net::Loop& loop = request.seeker.loop;
  Attempt attempt{request.seeker.own_hostname, request.tls.any, Security::kOpportunistic, {}, {}};
  attempt.patience = request.patience;
  if (request.route) {
    attempt.by_mx = false;
    attempt.security = request.route->security;
    if (request.route->verify) {
      attempt.tls = request.tls.verified;
      if (attempt.security != Security::kImplicit) attempt.security = Security::kRequired;
    }
    attempt.user = request.route->user;
    attempt.password = request.route->password;
  }
  Targets targets = request.route ? co_await SeekRouteHosts(request.seeker, request.route->hosts)
                                  : co_await SeekMailHosts(request.seeker, request.domain);
  if (auto* failure = std::get_if<RemoteOutcome>(&targets)) co_return Opened(std::move(*failure));
  auto& hosts = std::get<std::vector<Target>>(targets);
  if (hosts.size() > kMaxHostsTried) hosts.resize(kMaxHostsTried);
  Opened opened = Deferred("4.4.1", "421 4.4.1 No host was tried");
  for (const Target& target : hosts) {
    // Not the next host instead: a host of less preference is none for want of our own patience.
    std::optional<Place> place =
        request.enter(base::StrCat(target.address, " ", static_cast<unsigned>(target.port)));
    if (!place) co_return Opened(Busy());
    opened = co_await OpenTarget(loop, target, attempt);
    if (auto* session = std::get_if<std::unique_ptr<Session>>(&opened))
      (*session)->place = *std::move(place);
    const auto* failure = std::get_if<RemoteOutcome>(&opened);
    if (failure == nullptr || failure->kind == RemoteOutcome::Kind::kFailed) break;
  }
  co_return std::move(opened);
}

}  // namespace

net::Task<Opened> OpenSession(OpenRequest request) {
  const Destination destination = request.route ? Destination::kRoute : Destination::kMailExchanger;
  Opened opened = co_await OpenAny(std::move(request));
  if (auto* session = std::get_if<std::unique_ptr<Session>>(&opened))
    (*session)->destination = destination;
  if (!std::holds_alternative<Busy>(opened))
    RemoteMetrics::Get().CountConnection(destination, std::get_if<RemoteOutcome>(&opened));
  co_return std::move(opened);
}

}  // namespace posthorn::delivery_queue
