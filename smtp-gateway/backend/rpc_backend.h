#pragma once

#include <memory>

#include "smtp-gateway/backend/backend.h"

namespace posthorn::process {
class Service;
}

namespace posthorn::smtp_gateway {

// The backend of the running process. `service` outlives it.
std::unique_ptr<Backend> NewRpcBackend(process::Service& service);

}  // namespace posthorn::smtp_gateway
