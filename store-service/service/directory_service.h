#pragma once

#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/auth/authenticator.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {

// posthorn.store.v1.Directory.
class DirectoryService {
 public:
  // All outlive this and the server's handlers.
  DirectoryService(Configuration& configuration, Authenticator& authenticator)
      : configuration_(configuration), authenticator_(authenticator) {}
  void Register(rpc::Server& server);
  // Without one every account uses nothing.
  void SetUsage(UsageSource& usage) { usage_ = &usage; }

  store::v1::ResolveReply Resolve(const store::v1::ResolveRequest& request) const;

 private:
  net::Task<absl::StatusOr<store::v1::ResolveReply>> AnswerResolve(
      store::v1::ResolveRequest request);
  net::Task<absl::Status> Authenticate(rpc::ServerCall& call);
  net::Task<absl::Status> Watch(rpc::ServerCall& call);
  net::Task<absl::StatusOr<store::v1::IssueTicketReply>> IssueTicket(
      store::v1::IssueTicketRequest request);

  Configuration& configuration_;
  Authenticator& authenticator_;
  UsageSource* usage_ = nullptr;
};

}  // namespace posthorn::store_service
