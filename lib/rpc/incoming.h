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
  void Begin(std::shared_ptr<grpc::Server> grpc_server);
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
  std::string RoleOf(const std::string& peer) const;
  void OnCall(Slot& slot);

  std::shared_ptr<ServerState> server_;
  grpc::AsyncGenericService service_;
  std::shared_ptr<grpc::Server> grpc_server_;  // until Close
  grpc::ServerCompletionQueue& queue_;
  std::vector<RoleRange> roles_;
  std::vector<std::weak_ptr<Slot>> open_;
};

}  // namespace posthorn::rpc
