#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/blob/blob_store.h"
#include "store-service/cluster/membership.h"
#include "store-service/events/event_store.h"
#include "store-service/lane/engine.h"
#include "store-service/objects/configuration.h"
#include "store-service/service/journal_registry.h"
#include "store-service/service/meeting.h"

namespace posthorn::admin::v1 {
class ProcessReport;
}

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
    // The journals of queues that lie in the database; empty: none do.
    using QueueJournals = std::vector<store::v1::StoreStatusReply::QueueJournal>;
    std::function<net::Task<absl::StatusOr<QueueJournals>>()> queue_journals = {};
  };
  explicit AdminService(const Parts& parts);
  ~AdminService();  // stops a check that runs, and waits for it
  void Register(rpc::Server& server);
  // What only this replica knows of itself.
  void Describe(admin::v1::ProcessReport& report) const;

 private:
  struct Check;
  net::Task<absl::StatusOr<store::v1::StoreStatusReply>> Status();
  net::Task<absl::StatusOr<store::v1::MeetReply>> Meet(store::v1::MeetRequest request);
  void AddReplicas(store::v1::StoreStatusReply& reply) const;
  net::Task<absl::Status> RunCheck(rpc::ServerCall& call);
  net::Task<absl::Status> Report(rpc::ServerCall& call, std::shared_ptr<Check> check);
  net::Task<absl::Status> Finish(rpc::ServerCall& call, std::shared_ptr<Check> check, bool repair);
  net::Task<uint64_t> Repair(rpc::ServerCall& call, std::vector<base::AccountId> accounts);
  net::Task<void> Drive(std::shared_ptr<Check> check);

  Parts parts_;
  Meeting meeting_;
  std::shared_ptr<Check> running_;
  net::BlockingPool pool_;
  net::BlockingPool looks_;  // not the lanes' readers: mail does not wait for who asks
};

}  // namespace posthorn::store_service
