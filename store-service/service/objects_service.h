#pragma once

#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/auth/authenticator.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {

// posthorn.store.v1.Objects: translates between contract and Configuration.
class ObjectsService {
 public:
  // Both outlive this and the server's handlers.
  ObjectsService(Configuration& configuration, Authenticator& authenticator)
      : configuration_(configuration), authenticator_(authenticator) {}
  void Register(rpc::Server& server);

 private:
  net::Task<absl::StatusOr<store::v1::HeadReply>> Head();
  net::Task<absl::StatusOr<store::v1::ListObjectsReply>> List(
      store::v1::ListObjectsRequest request);
  net::Task<absl::StatusOr<store::v1::CommitReply>> Commit(store::v1::CommitRequest request);
  net::Task<absl::StatusOr<store::v1::HistoryReply>> History(store::v1::HistoryRequest request);
  net::Task<absl::StatusOr<store::v1::CheckAdministratorReply>> CheckAdministrator(
      store::v1::CheckAdministratorRequest request);

  Configuration& configuration_;
  Authenticator& authenticator_;
};

}  // namespace posthorn::store_service
