#include "lib/rpc/health.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/grpc.h"

namespace posthorn::rpc {
namespace {

using grpc_public::health::HealthCheckRequest;
using grpc_public::health::HealthCheckResponse;
using Known = std::function<bool(std::string_view)>;

HealthCheckResponse State(const Health& health) {
  HealthCheckResponse response;
  response.set_status(health.serving() ? HealthCheckResponse::SERVING
                                       : HealthCheckResponse::NOT_SERVING);
  return response;
}

net::Task<absl::StatusOr<HealthCheckResponse>> Check(std::shared_ptr<Health> health, Known known,
                                                     HealthCheckRequest request) {
  if (!known(request.service())) co_return base::NotFound("unknown service");
  co_return State(*health);
}

net::Task<absl::Status> Watch(std::shared_ptr<Health> health, Known known, ServerCall& call) {
  HealthCheckRequest request;
  absl::StatusOr<bool> asked = co_await call.Read(request);
  if (!asked.ok()) co_return asked.status();
  if (!*asked) co_return base::Invalid("a request is missing");
  // Ends a wait below when the caller goes; another watcher's wake-up does no harm.
  call.OnCancel([health] { health->changed().NotifyAll(); });
  int told = -1;
  while (!call.cancelled()) {
    HealthCheckResponse state = State(*health);
    if (!known(request.service())) state.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
    if (state.status() == told) {
      co_await health->changed().Wait();
      continue;
    }
    told = state.status();
    CO_RETURN_IF_ERROR(co_await call.Write(state));
  }
  co_return base::Error(absl::StatusCode::kCancelled, "the caller is gone");
}

}  // namespace

void Health::Register(const std::shared_ptr<Health>& health, Server& server, Known known) {
  server.Handle<HealthCheckRequest, HealthCheckResponse>(
      grpc_public::kHealthCheck, {},
      [health, known](const CallContext&, HealthCheckRequest request) {
        return Check(health, known, std::move(request));
      });
  server.HandleStream<HealthCheckRequest, HealthCheckResponse>(
      grpc_public::kHealthWatch, {},
      [health, known](ServerCall& call) { return Watch(health, known, call); });
}

void Health::Set(bool serving) {
  serving_ = serving;
  changed_.NotifyAll();
}

}  // namespace posthorn::rpc
