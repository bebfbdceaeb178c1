#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/blob/blob_store.h"
#include "store-service/cluster/membership.h"
#include "store-service/events/event_store.h"
#include "store-service/lane/engine.h"
#include "store-service/objects/configuration.h"
#include "store-service/service/journal_registry.h"

namespace posthorn::store_service {

// posthorn.store.v1.StoreAdmin. One check at a time, on a thread of its own.
class AdminService {
 public:
  // All outlive this.
  struct Parts {
    net::Loop& loop;
    Configuration& configuration;
    BlobStore& blobs;
    EventStore& events;
    Database& database;
    LaneEngine& lanes;
    UsageSource& usage;
    JournalRegistry& journals;
    const Membership* replicas = nullptr;
  };
  explicit AdminService(const Parts& parts);
  ~AdminService();  // stops a check that runs, and waits for it
  void Register(rpc::Server& server);

 private:
  struct Check;
  net::Task<absl::StatusOr<store::v1::StoreStatusReply>> Status();
  void AddProblems(store::v1::StoreStatusReply& reply) const;
  void AddReplicas(store::v1::StoreStatusReply& reply) const;
  net::Task<absl::Status> RunCheck(rpc::ServerCall& call);
  net::Task<absl::Status> Report(rpc::ServerCall& call, std::shared_ptr<Check> check);
  net::Task<absl::Status> Finish(rpc::ServerCall& call, std::shared_ptr<Check> check, bool repair);
  net::Task<uint64_t> Repair(rpc::ServerCall& call, std::vector<base::AccountId> accounts);
  net::Task<void> Drive(std::shared_ptr<Check> check);

  Parts parts_;
  std::shared_ptr<Check> running_;
  net::BlockingPool pool_;
};

}  // namespace posthorn::store_service
