#include "admin-service/service/object_store.h"

#include "lib/base/status_macros.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kReadLimit{10000};
// A commit with many passwords hashes each of them.
constexpr std::chrono::milliseconds kCommitLimit{120000};
constexpr std::chrono::milliseconds kPerChange{100};  // each may bring a password to hash, 45 ms

class RemoteObjectStore : public ObjectStore {
 public:
  explicit RemoteObjectStore(rpc::Client& client) : client_(client) {}

  net::Task<absl::StatusOr<uint64_t>> Head() override {
    CO_ASSIGN_OR_RETURN(const store::v1::HeadReply reply,
                        co_await client_.Call(rpc::store::kObjectsHead, Limit(kReadLimit),
                                              store::v1::HeadRequest()));
    co_return reply.revision();
  }
  net::Task<absl::StatusOr<std::string>> TokenKey() override {
    CO_ASSIGN_OR_RETURN(const store::v1::HeadReply reply,
                        co_await client_.Call(rpc::store::kObjectsHead, Limit(kReadLimit),
                                              store::v1::HeadRequest()));
    co_return reply.token_key();
  }
  net::Task<absl::StatusOr<store::v1::ListObjectsReply>> List(
      store::v1::ListObjectsRequest request) override {
    return client_.Call(rpc::store::kObjectsList, Limit(kReadLimit), std::move(request));
  }
  net::Task<absl::StatusOr<uint64_t>> Commit(store::v1::CommitRequest request) override {
    const std::chrono::milliseconds limit = kCommitLimit + kPerChange * request.changes_size();
    CO_ASSIGN_OR_RETURN(
        const store::v1::CommitReply reply,
        co_await client_.Call(rpc::store::kObjectsCommit, Limit(limit), std::move(request)));
    co_return reply.revision();
  }
  net::Task<absl::StatusOr<store::v1::HistoryReply>> History(
      store::v1::HistoryRequest request) override {
    return client_.Call(rpc::store::kObjectsHistory, Limit(kReadLimit), std::move(request));
  }
  net::Task<absl::StatusOr<bool>> CheckAdministrator(std::string name,
                                                     std::string password) override {
    store::v1::CheckAdministratorRequest request;
    request.set_name(std::move(name));
    request.set_password(std::move(password));
    CO_ASSIGN_OR_RETURN(const store::v1::CheckAdministratorReply reply,
                        co_await client_.Call(rpc::store::kObjectsCheckAdministrator,
                                              Limit(kReadLimit), std::move(request)));
    co_return reply.ok();
  }

 private:
  static rpc::CallOptions Limit(std::chrono::milliseconds limit) {
    rpc::CallOptions options;
    options.timeout = limit;
    return options;
  }
  rpc::Client& client_;
};

}  // namespace

std::unique_ptr<ObjectStore> NewRemoteObjectStore(rpc::Client& client) {
  return std::make_unique<RemoteObjectStore>(client);
}

}  // namespace posthorn::admin_service
