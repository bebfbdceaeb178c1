#pragma once

// What admin-service needs of the store's Objects service. Belongs to one loop.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "posthorn/store/v1/objects.pb.h"

namespace posthorn::rpc {
class Client;
}

namespace posthorn::admin_service {

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  virtual net::Task<absl::StatusOr<uint64_t>> Head() = 0;
  // The key of operators' tokens, the same for all admin-services; empty: an older store has none.
  virtual net::Task<absl::StatusOr<std::string>> TokenKey() = 0;
  virtual net::Task<absl::StatusOr<store::v1::ListObjectsReply>> List(
      store::v1::ListObjectsRequest request) = 0;
  // kAborted: the head moved. kAlreadyExists: an address is taken.
  virtual net::Task<absl::StatusOr<uint64_t>> Commit(store::v1::CommitRequest request) = 0;
  virtual net::Task<absl::StatusOr<store::v1::HistoryReply>> History(
      store::v1::HistoryRequest request) = 0;
  virtual net::Task<absl::StatusOr<bool>> CheckAdministrator(std::string name,
                                                             std::string password) = 0;
};

// The store behind `client`, which must outlive it.
std::unique_ptr<ObjectStore> NewRemoteObjectStore(rpc::Client& client);

}  // namespace posthorn::admin_service
