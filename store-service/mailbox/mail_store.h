#pragma once

// The mail part of a store: lanes, views and the services Mailboxes and Sync. Everything on the
// loop.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "store-service/auth/ticket.h"
#include "store-service/blob/blob_store.h"
#include "store-service/cluster/membership.h"
#include "store-service/database/database.h"
#include "store-service/directory/accounts.h"
#include "store-service/lane/engine.h"
#include "store-service/service/digest_source.h"

namespace posthorn::rpc {
class Server;
}

namespace posthorn::store_service {

class MailStore final : public UsageSource, public AccountLifecycle, public SessionEnder {
 public:
  // All outlive the store.
  struct Parts {
    net::Loop& loop;
    Database& database;
    BlobStore& blobs;
    DigestSource& digests;
    const Accounts& accounts;
    const TicketVerifier& tickets;
  };
  struct Options {
    LaneOptions lane;
    MembershipOptions replica;
    int reader_threads = 4;
    size_t max_queued_reads = 4096;
  };
  MailStore(Parts parts, Options options);
  ~MailStore() override;

  // Before the server starts: handlers of Mailboxes, Sync and Cluster.
  void Register(rpc::Server& server);
  // Reads the usage of all accounts and takes the lanes that are ours. Nothing is served before it
  // is done.
  net::Task<absl::Status> Start();
  // Hands the lanes over to other replicas, finishes writes under way. Required before destruction.
  net::Task<void> Stop();

  Usage UsageOf(base::AccountId account) override;
  net::Task<Usage> RecentUsageOf(base::AccountId account) override;
  net::Task<absl::Status> EraseAccount(base::AccountId account) override;
  void EndSessions(base::AccountId account) override;

  LaneEngine& lanes();
  const Membership& replicas() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace posthorn::store_service
