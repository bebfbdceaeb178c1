#pragma once

#include <memory>

#include "pop3-gateway/backend/backend.h"

namespace posthorn::process {
class Service;
}

namespace posthorn::pop3_gateway {

// The backend of the running process. `service` outlives it.
std::unique_ptr<Backend> NewRpcBackend(process::Service& service);

}  // namespace posthorn::pop3_gateway
