#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/move/move.h"

namespace posthorn::store_service {

// posthorn.store.v1.StoreAdmin.Migrate. One move at a time, on a thread of its own; who calls holds
// it: a call that goes away ends it before anything has changed.
class MigrateService {
 public:
  struct Parts {
    net::Loop& loop;
    // Null: the installation lies in a database already. They outlive this.
    TrackedDatabase* mail = nullptr;
    sql::WriteGate* others = nullptr;
    std::vector<MoveSource::File> files;
    std::string data;
    std::string blobs;  // as MoveOptions::blobs
  };
  explicit MigrateService(Parts parts);
  ~MigrateService();  // stops a move that runs, and waits for it
  void Register(rpc::Server& server);

  // For readiness: "" or where the installation has moved to.
  const std::string& moved() const { return moved_; }

 private:
  struct Moving;
  net::Task<absl::Status> Run(rpc::ServerCall& call);
  absl::StatusOr<MoveOptions> OptionsFor(const store::v1::MigrateRequest& request) const;
  net::Task<void> Drive(std::shared_ptr<Moving> moving);
  net::Task<absl::Status> Report(rpc::ServerCall& call, std::shared_ptr<Moving> moving);
  void Ended(const Moving& moving);

  const Parts parts_;
  std::shared_ptr<Moving> running_;
  std::string moved_;
  net::BlockingPool pool_;
};

}  // namespace posthorn::store_service
