// imap-gateway: mailboxes for mail clients.

#include <memory>
#include <string>

#include "imap-gateway/backend/rpc_store.h"
#include "imap-gateway/session/command_law.h"
#include "imap-gateway/session/session.h"
#include "imap-gateway/view/sync_client.h"
#include "imap-gateway/view/view_metrics.h"
#include "lib/base/clock.h"
#include "lib/config/snapshot.h"
#include "lib/gateway/program.h"
#include "lib/process/service.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::imap_gateway {
namespace {

using config::v1::Settings;
using std::chrono::seconds;

std::shared_ptr<const Port> PortOf(const gateway::Port& open) {
  auto port = std::make_shared<Port>();
  port->name = open.config.name();
  port->tls = open.tls;
  if (open.config.tls() == config::v1::IMPLICIT) {
    port->mode = Port::Tls::kImplicit;
  } else if (open.demands_tls()) {
    port->mode = Port::Tls::kStartTlsRequired;
  } else if (open.offers_starttls()) {
    port->mode = Port::Tls::kStartTls;
  }
  return port;
}

class Process : public gateway::Program {
 public:
  explicit Process(process::Service& service)
      : service_(service),
        store_(NewRpcStore(service.loop(), service.store())),
        sync_(SyncClient::Create(service.loop(), *store_, {})),
        gate_(login::Gate::Create(service.loop(), service.store(), {.protocol = "imap"})),
        gateway_{service.loop(), service.drain(), *store_, *sync_, *gate_} {
    service_.OnConfig([this](const config::Snapshot& snapshot) { Apply(snapshot); });
    service_.AddReadiness([this] { return sync_->connected() ? std::string() : "store-service"; });
    service_.AddReport([](admin::v1::ProcessReport& report) {
      admin::v1::ProcessReport::Lag& lag = *report.add_lags();
      lag.set_of("views");
      lag.set_behind_ms(
          static_cast<uint64_t>(RecentLag::Get().Worst(base::MonotonicMicros() / 1000)));
    });
    // All made now: a panel shows 0, not nothing.
    ViewMetrics::Get();
    CountCommand(nullptr, 0);
  }
  ~Process() override { sync_->Stop(); }

  gateway::Frontend::Options Front() override {
    return {.protocols = {config::v1::IMAP},
            .serve =
                [this](std::unique_ptr<net::Connection> connection,
                       std::shared_ptr<const gateway::Port> port) {
                  return Session::Serve(gateway_, PortOf(*port), std::move(connection));
                },
            .refuse = gateway::RefuseWith("* BYE [LIMIT] Too many connections\r\n")};
  }

 private:
  void Apply(const config::Snapshot& snapshot) {
    const Settings& settings = snapshot.Get<Settings>();
    auto config = std::make_shared<ImapConfig>();
    config->hostname = gateway::Hostname(snapshot);
    config->max_message_size = settings.max_message_size();
    config->max_errors = settings.max_errors();
    config->idle_timeout = seconds(settings.imap_idle_timeout());
    using Plaintext = ImapConfig::PlaintextLogin;
    config->plaintext_login = settings.plaintext_login() == 0   ? Plaintext::kNever
                              : settings.plaintext_login() == 1 ? Plaintext::kTrusted
                                                                : Plaintext::kAlways;
    config->trusts = [networks = gateway::Networks(snapshot)](std::string_view address) {
      return networks.Of(address).plaintext_login;
    };
    gateway_.config = std::move(config);
    gate_->SetTimes(seconds(settings.login_cache()), seconds(settings.tarpit()));
  }

  process::Service& service_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<SyncClient> sync_;
  std::unique_ptr<login::Gate> gate_;
  Gateway gateway_;
};

}  // namespace
}  // namespace posthorn::imap_gateway

int main(int argc, char** argv) {
  return posthorn::gateway::Main(
      argc, argv, "imap-gateway", [](posthorn::process::Service& service) {
        return std::make_unique<posthorn::imap_gateway::Process>(service);
      });
}
