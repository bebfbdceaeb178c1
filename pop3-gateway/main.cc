// pop3-gateway: maildrops for POP3 clients.

#include "lib/gateway/session_program.h"
#include "pop3-gateway/backend/rpc_backend.h"
#include "pop3-gateway/session/metrics.h"
#include "pop3-gateway/session/session.h"

namespace posthorn::pop3_gateway {
namespace {

std::unique_ptr<gateway::Program> MakeProgram(process::Service& service) {
  Pop3Metrics::Get();  // made now: a panel shows 0, not nothing
  return std::make_unique<gateway::SessionProgram<Pop3Session, Surroundings, Backend>>(
      service, NewRpcBackend(service), std::vector<config::v1::Protocol>{config::v1::POP3},
      "-ERR [SYS/TEMP] Too many connections\r\n");
}

}  // namespace
}  // namespace posthorn::pop3_gateway

int main(int argc, char** argv) {
  return posthorn::gateway::Main(argc, argv, "pop3-gateway", posthorn::pop3_gateway::MakeProgram);
}
