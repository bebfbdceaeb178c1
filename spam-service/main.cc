// spam-service: a score with reasons for each message.

#include <memory>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/dns/unbound_resolver.h"
#include "lib/observe/log.h"
#include "lib/process/service.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "spam-service/service/spam_service.h"

namespace posthorn::spam_service {
namespace {

dns::Options DnsOptions(const config::Snapshot& snapshot) {
  const auto& settings = snapshot.Get<config::v1::Settings>();
  return {{settings.dns_servers().begin(), settings.dns_servers().end()},
          settings.dns_trust_anchor()};
}

class Scorer {
 public:
  explicit Scorer(process::Service& service) : service_(service) {}

  absl::Status Open() {
    absl::StatusOr<std::unique_ptr<dns::UnboundResolver>> resolver =
        dns::UnboundResolver::Create(service_.loop(), DnsOptions(*service_.config()));
    // A mistake in the settings must not keep mail from being scored: the system's resolvers serve
    // until it is mended.
    if (!resolver.ok()) {
      observe::Error("spam.dns_settings", {{"status", base::Message(resolver.status())}});
      resolver = dns::UnboundResolver::Create(service_.loop(), {});
    }
    ASSIGN_OR_RETURN(resolver_, std::move(resolver));
    spam_ = std::make_unique<SpamService>(service_.loop(), *resolver_);
    spam_->Register(service_.server(), {"smtp-gateway"});
    service_.OnConfig([this](const config::Snapshot& snapshot) { OnConfig(snapshot); });
    return absl::OkStatus();
  }

 private:
  void OnConfig(const config::Snapshot& snapshot) {
    const absl::Status configured = resolver_->Configure(DnsOptions(snapshot));
    if (!configured.ok())
      observe::Error("spam.dns_settings", {{"status", base::Message(configured)}});
    spam_->Configure(snapshot);
  }

  process::Service& service_;
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::unique_ptr<SpamService> spam_;
};

net::Task<absl::Status> SetUp(process::Service& service, std::unique_ptr<Scorer>& scorer) {
  scorer = std::make_unique<Scorer>(service);
  co_return scorer->Open();
}

}  // namespace
}  // namespace posthorn::spam_service

int main(int argc, char** argv) {
  using posthorn::process::Service;
  Service::Options options;
  options.process = "spam-service";
  options.caller_roles = {"smtp-gateway"};
  const std::unique_ptr<Service> service = Service::Create(argc, argv, std::move(options));
  std::unique_ptr<posthorn::spam_service::Scorer> scorer;
  return service->Run([&] { return posthorn::spam_service::SetUp(*service, scorer); });
}
