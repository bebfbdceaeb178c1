#pragma once

// Takes calls from gRPC and gives each to the transport it belongs to.

#include <grpcpp/generic/async_generic_service.h>

#include <memory>
#include <string>
#include <vector>

#include "lib/rpc/server_plain.h"
#include "lib/rpc/server_stream.h"

namespace posthorn::rpc {

class IncomingCalls : public std::enable_shared_from_this<IncomingCalls> {
 public:
  IncomingCalls(std::shared_ptr<ServerState> server, grpc::ServerCompletionQueue& queue)
      : server_(std::move(server)), queue_(queue) {}

  // To be registered with the builder.
  grpc::AsyncGenericService& service() { return service_; }
  // Callers on descriptors [first, first + count) have this role; all others none.
  void AddRole(int first, int count, std::string role) {
    roles_.push_back({first, first + count, std::move(role)});
  }
  // The role of callers that came by none of those descriptors is their certificate's.
  void DemandCertificates() { certificates_ = true; }
  void Begin(std::shared_ptr<grpc::Server> grpc_server);
  // Request streams, open ones and new ones, are told to leave.
  void AskToLeave();
  // Ends everything that is open; from here on nothing touches gRPC.
  void Close(const absl::Status& status);

 private:
  struct RoleRange {
    int first;
    int end;
    std::string role;
  };
  struct Slot;
  void RequestNext();
  absl::StatusOr<std::string> RoleOf(const grpc::ServerContextBase& context);
  void Refuse(Slot& slot, const absl::Status& status);
  void OnCall(Slot& slot);

  std::shared_ptr<ServerState> server_;
  grpc::AsyncGenericService service_;
  std::shared_ptr<grpc::Server> grpc_server_;  // until Close
  grpc::ServerCompletionQueue& queue_;
  std::vector<RoleRange> roles_;
  bool certificates_ = false;
  int64_t refusal_told_ = 0;  // MonotonicMicros of the last warning
  std::vector<std::weak_ptr<Slot>> open_;
};

}  // namespace posthorn::rpc
