#pragma once

#include <functional>
#include <utility>

#include "lib/rpc/server.h"

namespace posthorn::admin_service {

// Registers a member coroutine of `service` for operators: the local socket's, and whoever shows
// who he is.
template <class Service, class Q, class R>
void ForOperators(rpc::Server& server, rpc::Method<Q, R> method, Service* service,
                  net::Task<absl::StatusOr<R>> (Service::*handler)(rpc::CallContext, Q)) {
  const std::function<net::Task<absl::StatusOr<R>>(const rpc::CallContext&, Q)> call =
      [service, handler](const rpc::CallContext& context, Q request) {
        return (service->*handler)(context, std::move(request));
      };
  server.Handle<Q, R>(method, {"cli", ""}, call);
}

}  // namespace posthorn::admin_service
