#include "lib/gateway/frontend.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/process/service.h"

namespace posthorn::gateway {
namespace {

constexpr std::chrono::milliseconds kHandshake{30000};
constexpr uint32_t kShiftedBelow = 10000;  // --port-base moves only these

// The certificate named by the listener comes first: clients that name no host see it.
std::shared_ptr<const net::TlsContext> TlsFor(const config::Snapshot& snapshot, const std::string& first) {
  std::vector<net::TlsContext::Identity> identities;
  for (const auto& object : snapshot.All<config::v1::Certificate>()) {
    const auto& certificate = static_cast<const config::v1::Certificate&>(*object);
    net::TlsContext::Identity identity{certificate.chain(), certificate.key(),
                                       {certificate.hostnames().begin(), certificate.hostnames().end()}};
    identities.insert(certificate.name() == first ? identities.begin() : identities.end(), std::move(identity));
  }
  if (identities.empty()) return nullptr;
  auto context = net::TlsContext::Server(std::move(identities));
  if (!context.ok()) {
    observe::Error("gateway.certificate", {{"certificate", first}, {"status", context.status().ToString()}});
    return nullptr;
  }
  return *std::move(context);
}

observe::Gauge* ExpiryGauge(const std::string& certificate) {
  return observe::NewGauge("posthorn_gateway_certificate_not_after_seconds",
                           "When a certificate that clients see expires, seconds since 1970",
                           {{"certificate", certificate}});
}

// Of all certificates in the configuration; `known` are those told of before.
void TellExpiry(const config::Snapshot& snapshot, std::set<std::string>& known) {
  // One that is gone expires never.
  for (const std::string& name : known) ExpiryGauge(name)->Set(std::numeric_limits<double>::quiet_NaN());
  for (const auto& object : snapshot.All<config::v1::Certificate>()) {
    const auto& certificate = static_cast<const config::v1::Certificate&>(*object);
    const auto chain = certs::ReadCertificates(certificate.chain());
    if (!chain.ok()) continue;  // TlsFor says so
    known.insert(certificate.name());
    ExpiryGauge(certificate.name())->Set(static_cast<double>(chain->front().not_after));
  }
}

observe::Counter* HandshakeCounter(std::string_view outcome) {
  return observe::NewCounter("posthorn_gateway_tls_handshakes_total", "TLS handshakes by outcome",
                             {{"outcome", outcome}});
}

}  // namespace

struct Frontend::OpenPortState {
  std::unique_ptr<net::Listener> listener;
  std::shared_ptr<const Port> port;
};

Frontend::Frontend(process::Service& service, Options options)
    : service_(service), options_(std::move(options)) {}

Frontend::~Frontend() = default;

absl::StatusOr<std::unique_ptr<Frontend>> Frontend::Open(process::Service& service, Options options) {
  std::unique_ptr<Frontend> frontend(new Frontend(service, std::move(options)));
  RETURN_IF_ERROR(frontend->Apply(*service.config()));
  Frontend* self = frontend.get();
  service.OnConfig([self](const config::Snapshot& snapshot) {
    if (absl::Status applied = self->Apply(snapshot); !applied.ok())
      observe::Error("gateway.listener", {{"status", applied.ToString()}});
  });
  return absl::StatusOr<std::unique_ptr<Frontend>>(std::move(frontend));
}

absl::Status Frontend::Apply(const config::Snapshot& snapshot) {
  networks_ = Networks(snapshot);
  TellExpiry(snapshot, certificates_);
  max_per_address_ = snapshot.Get<config::v1::Settings>().max_connections_per_address();
  std::map<std::string, const config::v1::Listener*> wanted;
  for (const auto& object : snapshot.All<config::v1::Listener>()) {
    const auto& listener = static_cast<const config::v1::Listener&>(*object);
    if (listener.enabled() && std::ranges::count(options_.protocols, listener.protocol()) > 0)
      wanted[listener.name()] = &listener;
  }
  std::erase_if(open_, [&wanted](const auto& entry) {
    const auto found = wanted.find(entry.first);
    const config::v1::Listener& old = entry.second->port->config;
    const bool stays = found != wanted.end() && found->second->port() == old.port() &&
                       found->second->address() == old.address() && found->second->protocol() == old.protocol();
    if (!stays) entry.second->listener->Stop();
    return !stays;
  });
  absl::Status all = absl::OkStatus();
  for (const auto& [name, listener] : wanted) all.Update(OpenPort(*listener, TlsFor(snapshot, listener->certificate())));
  return all;
}

net::ListenerOptions Frontend::OptionsFor(const config::v1::Listener& config) const {
  const process::Flags& flags = service_.flags();
  net::ListenerOptions options;
  options.name = config.name();
  options.address = flags.bind.empty() ? config.address() : flags.bind;
  const uint32_t shift = config.port() < kShiftedBelow ? static_cast<uint32_t>(flags.port_base) : 0;
  options.port = static_cast<uint16_t>(config.port() + shift);
  options.proxy_from = {config.proxy_from().begin(), config.proxy_from().end()};
  options.max_connections = config.max_connections();
  options.max_per_address = max_per_address_;
  options.never_limited = networks_.NeverLimited();
  return options;
}

absl::Status Frontend::OpenPort(const config::v1::Listener& config, std::shared_ptr<const net::TlsContext> tls) {
  auto port = std::make_shared<Port>();
  port->config = config;
  port->tls = std::move(tls);
  if (port->tls == nullptr && config.tls() != config::v1::NONE)
    observe::Error("gateway.no_certificate", {{"listener", config.name()}, {"certificate", config.certificate()}});
  if (const auto found = open_.find(config.name()); found != open_.end()) {
    found->second->listener->SetLimits(OptionsFor(config));
    found->second->port = std::move(port);
    return absl::OkStatus();
  }
  auto listener = net::Listener::Bind(service_.loop(), OptionsFor(config));
  if (!listener.ok()) return base::Annotate(listener.status(), base::StrCat("listener ", config.name()));
  auto opened = std::make_unique<OpenPortState>();
  opened->listener = *std::move(listener);
  opened->port = std::move(port);
  OpenPortState* open = opened.get();
  open_[config.name()] = std::move(opened);
  observe::Info("gateway.listening", {{"listener", config.name()}, {"port", open->listener->port()}});
  const std::string& name = config.name();
  open->listener->Start(
      [this, name](std::unique_ptr<net::Connection> connection) {
        const auto found = open_.find(name);
        return Serve(std::move(connection), found == open_.end() ? nullptr : found->second->port);
      },
      options_.refuse);
  return absl::OkStatus();
}

net::Task<void> Frontend::Serve(std::unique_ptr<net::Connection> connection, std::shared_ptr<const Port> port) {
  static observe::Counter* const kGood = HandshakeCounter("ok");
  static observe::Counter* const kBad = HandshakeCounter("failed");
  if (port == nullptr) co_return;  // closed between accept and here
  if (port->config.tls() == config::v1::IMPLICIT) {
    if (port->tls == nullptr) co_return;
    const absl::Status done = co_await connection->StartTls(port->tls, kHandshake);
    (done.ok() ? kGood : kBad)->Add();
    if (!done.ok()) {
      observe::Debug("gateway.tls", {{"peer", connection->peer().address}, {"status", done.ToString()}});
      co_return;
    }
  }
  co_await options_.serve(std::move(connection), std::move(port));
}

size_t Frontend::sessions() const {
  size_t all = 0;
  for (const auto& [name, open] : open_) all += open->listener->sessions();
  return all;
}

uint16_t Frontend::PortOf(const std::string& listener) const {
  const auto found = open_.find(listener);
  return found == open_.end() ? 0 : found->second->listener->port();
}

}  // namespace posthorn::gateway
