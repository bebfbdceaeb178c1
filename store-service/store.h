#pragma once

// All parts of a store in one process, in the order they need each other.

#include <memory>

#include "lib/net/task.h"
#include "lib/process/service.h"

namespace posthorn::store_service {

process::Service::Options StoreOptions();

class Store {
 public:
  explicit Store(process::Service& service);  // outlives this
  ~Store();
  // Opens everything under --data and registers the services. Blocks while segments and lanes are
  // examined.
  net::Task<absl::Status> SetUp();

 private:
  struct Parts;
  net::Task<absl::Status> ConnectDatabases();
  absl::Status Open();
  net::Task<absl::Status> StartMail();
  net::Task<absl::Status> Serve();
  void FollowConfiguration();
  void ServeMigration();
  void StartCollector();
  process::Service& service_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace posthorn::store_service
