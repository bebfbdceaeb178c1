#include "store-service/service/sync_service.h"

#include <memory>

#include "lib/rpc/methods/store.h"
#include "store-service/sync/sync_session.h"

namespace posthorn::store_service {
namespace {

net::Task<absl::Status> Attach(SyncHub* hub, rpc::ServerCall& call) {
  const auto session = std::make_shared<SyncSession>(*hub);
  co_return co_await session->Serve(call);
}

}  // namespace

void RegisterSync(rpc::Server& server, SyncHub& hub) {
  server.HandleStream<v1::SyncRequest, v1::SyncReply>(
      rpc::store::kSyncAttach, {"imap-gateway", "pop3-gateway"},
      [hub = &hub](rpc::ServerCall& call) { return Attach(hub, call); });
}

}  // namespace posthorn::store_service
