// smtp-gateway: mail in, from other servers and from our users.

#include "lib/config/snapshot.h"
#include "lib/gateway/program.h"
#include "lib/process/service.h"
#include "smtp-gateway/backend/rpc_backend.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {
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
    return {.protocols = {config::v1::SMTP, config::v1::SUBMISSION, config::v1::LMTP},
            .serve =
                [this](std::unique_ptr<net::Connection> connection,
                       std::shared_ptr<const gateway::Port> port) {
                  return SmtpSession::Serve(std::make_shared<SmtpSession>(
                      around_, std::move(connection), std::move(port)));
                },
            .refuse = gateway::RefuseWith("421 4.7.0 Too many connections, try again later\r\n")};
  }

 private:
  gateway::Present present_;
  std::unique_ptr<Backend> backend_;
  Surroundings around_;
};

}  // namespace
}  // namespace posthorn::smtp_gateway

int main(int argc, char** argv) {
  return posthorn::gateway::Main(
      argc, argv, "smtp-gateway", [](posthorn::process::Service& service) {
        return std::make_unique<posthorn::smtp_gateway::Gateway>(service);
      });
}
