#pragma once

// admin-service put together: reads the store, makes a first configuration, serves, follows.

#include <functional>
#include <string>
#include <vector>

#include "admin-service/service/config_service.h"
#include "admin-service/service/operations_service.h"

namespace posthorn::admin_service {

// Those that watch the configuration: all but admin-service itself.
const std::vector<std::string>& WatchingProcesses();

class Admin {
 public:
  struct Options {
    std::string key;            // for tokens
    std::string password_file;  // of the first administrator; empty: the password is only printed
    // What this process reports of itself; the revision is filled in.
    std::function<admin::v1::ProcessReport()> describe;
  };
  // All outlive this.
  Admin(net::Loop& loop, const config::Schema& schema, ObjectStore& objects, rpc::Client& store,
        cluster::Queues& queue, Options options);

  void Register(rpc::Server& server);
  // Waits for the store; in an empty one commits the first configuration. Then follows the head.
  net::Task<absl::Status> Start();
  void Stop() { stopped_ = true; }
  // Tells the other admin-services that this one ends in order.
  net::Task<void> Leave() { return companions_.Leave(); }
  // "" or what is missing for readiness.
  std::string Missing() const;
  ModelCache& models() { return models_; }

 private:
  net::Task<absl::Status> TakeTokenKey();
  net::Task<absl::Status> Bootstrap();
  net::Task<void> Follow();
  // In the file; false when there is none.
  bool KeepPassword(const std::string& password) const;
  // Whether it is what the file holds now.
  bool HasPassword(const std::string& password) const;

  net::Loop& loop_;
  const Options options_;
  const config::Schema& schema_;
  ObjectStore& objects_;
  ModelCache models_;
  Authority authority_;
  ConfigService config_;
  Companions companions_;
  StatusService status_;
  OperationsService operations_;
  bool stopped_ = false;
};

}  // namespace posthorn::admin_service
