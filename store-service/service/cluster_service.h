#pragma once

#include "absl/status/status.h"
#include "lib/net/task.h"
#include "lib/rpc/server.h"
#include "store-service/cluster/membership.h"

namespace posthorn::store_service {

// Cluster.Watch: the map at once, at each change and every second, so that a caller notices a
// replica that says nothing any more. `membership` outlives the server.
void RegisterCluster(rpc::Server& server, Membership& membership);

}  // namespace posthorn::store_service
