#include "store-service/service/cluster_service.h"

#include <chrono>
#include <memory>

#include "lib/base/status_macros.h"
#include "lib/rpc/methods/store.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

constexpr std::chrono::milliseconds kRepeat{1000};

net::Task<absl::Status> Watch(Membership* membership, rpc::ServerCall& call) {
  while (!call.cancelled()) {
    CO_RETURN_IF_ERROR(co_await call.Write(membership->map()));
    (void)co_await membership->changed().WaitFor(kRepeat);
  }
  co_return absl::OkStatus();
}

}  // namespace

void RegisterCluster(rpc::Server& server, Membership& membership) {
  server.HandleStream(
      rpc::store::kClusterWatch, Everybody(),
      [membership = &membership](rpc::ServerCall& call) { return Watch(membership, call); });
}

}  // namespace posthorn::store_service
