#pragma once

#include "lib/rpc/server.h"
#include "store-service/sync/sync_hub.h"

namespace posthorn::store_service {

// The gRPC face of service Sync. `hub` outlives the server.
void RegisterSync(rpc::Server& server, SyncHub& hub);

}  // namespace posthorn::store_service
