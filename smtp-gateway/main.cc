// smtp-gateway: mail in, from other servers and from our users.

#include "lib/gateway/session_program.h"
#include "smtp-gateway/backend/rpc_backend.h"
#include "smtp-gateway/session/metrics.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {
namespace {

std::unique_ptr<gateway::Program> MakeProgram(process::Service& service) {
  SmtpMetrics::Get();  // made now: a panel shows 0, not nothing
  return std::make_unique<gateway::SessionProgram<SmtpSession, Surroundings, Backend>>(
      service, NewRpcBackend(service),
      std::vector<config::v1::Protocol>{config::v1::SMTP, config::v1::SUBMISSION, config::v1::LMTP},
      "421 4.7.0 Too many connections, try again later\r\n");
}

}  // namespace
}  // namespace posthorn::smtp_gateway

int main(int argc, char** argv) {
  return posthorn::gateway::Main(argc, argv, "smtp-gateway", posthorn::smtp_gateway::MakeProgram);
}
