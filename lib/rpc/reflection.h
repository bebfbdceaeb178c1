#pragma once

// gRPC server reflection (v1alpha) over the descriptors linked into this program.

#include <functional>
#include <string>
#include <vector>

#include "lib/rpc/server.h"

namespace posthorn::rpc {

// `services` returns the full names of the services on offer.
void RegisterReflection(Server& server, std::function<std::vector<std::string>()> services);

}  // namespace posthorn::rpc
