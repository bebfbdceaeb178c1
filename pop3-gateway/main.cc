// pop3-gateway: maildrops for POP3 clients.

#include "lib/config/snapshot.h"
#include "lib/gateway/program.h"
#include "lib/process/service.h"
#include "pop3-gateway/backend/rpc_backend.h"
#include "pop3-gateway/session/session.h"

namespace posthorn::pop3_gateway {
namespace {

class Gateway : public gateway::Program {
 public:
  explicit Gateway(process::Service& service)
      : present_(service),
        backend_(NewRpcBackend(service)),
        around_{*backend_,
                service.drain(),
                [this] { return present_.settings(); },
                [this](std::string_view address) { return present_.RightsOf(address); },
                {}} {
    service.OnConfig([this](const config::Snapshot& snapshot) {
      around_.hostname = gateway::Hostname(snapshot);
    });
  }

  gateway::Frontend::Options Front() override {
    return {.protocols = {config::v1::POP3},
            .serve =
                [this](std::unique_ptr<net::Connection> connection,
                       std::shared_ptr<const gateway::Port> port) {
                  return Pop3Session::Serve(std::make_shared<Pop3Session>(
                      around_, std::move(connection), std::move(port)));
                },
            .refuse = gateway::RefuseWith("-ERR [SYS/TEMP] Too many connections\r\n")};
  }

 private:
  gateway::Present present_;
  std::unique_ptr<Backend> backend_;
  Surroundings around_;
};

}  // namespace
}  // namespace posthorn::pop3_gateway

int main(int argc, char** argv) {
  return posthorn::gateway::Main(
      argc, argv, "pop3-gateway", [](posthorn::process::Service& service) {
        return std::make_unique<posthorn::pop3_gateway::Gateway>(service);
      });
}
