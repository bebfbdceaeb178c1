// pop3-gateway: maildrops for POP3 clients.

#include <memory>
#include <string>

#include "lib/base/status_macros.h"
#include "lib/config/snapshot.h"
#include "lib/gateway/frontend.h"
#include "lib/process/service.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "pop3-gateway/backend/rpc_backend.h"
#include "pop3-gateway/session/session.h"

namespace posthorn::pop3_gateway {
namespace {

using config::v1::Settings;

class Gateway {
 public:
  explicit Gateway(process::Service& service)
      : service_(service),
        backend_(NewRpcBackend(service)),
        around_{*backend_, service.drain(), [this] { return settings_; },
                [this](std::string_view address) { return frontend_->networks().Of(address); },
                gateway::Hostname(*service.config())} {
    service_.OnConfig([this](const config::Snapshot& snapshot) {
      settings_ = std::make_shared<const Settings>(snapshot.Get<Settings>());
      around_.hostname = gateway::Hostname(snapshot);
    });
  }

  absl::Status Open() {
    gateway::Frontend::Options options;
    options.protocols = {config::v1::POP3};
    options.serve = [this](std::unique_ptr<net::Connection> connection, std::shared_ptr<const gateway::Port> port) {
      return Pop3Session::Serve(std::make_shared<Pop3Session>(around_, std::move(connection), std::move(port)));
    };
    options.refuse = [](net::Refusal) { return std::string("-ERR [SYS/TEMP] Too many connections\r\n"); };
    ASSIGN_OR_RETURN(frontend_, gateway::Frontend::Open(service_, std::move(options)));
    return absl::OkStatus();
  }

 private:
  process::Service& service_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const Settings> settings_ = std::make_shared<const Settings>();
  std::unique_ptr<gateway::Frontend> frontend_;
  Surroundings around_;
};

net::Task<absl::Status> SetUp(process::Service& service, std::unique_ptr<Gateway>& gateway) {
  gateway = std::make_unique<Gateway>(service);
  co_return gateway->Open();
}

}  // namespace
}  // namespace posthorn::pop3_gateway

int main(int argc, char** argv) {
  using posthorn::process::Service;
  Service::Options options;
  options.process = "pop3-gateway";
  const std::unique_ptr<Service> service = Service::Create(argc, argv, std::move(options));
  std::unique_ptr<posthorn::pop3_gateway::Gateway> gateway;
  return service->Run([&] { return posthorn::pop3_gateway::SetUp(*service, gateway); });
}
