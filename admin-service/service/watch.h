#pragma once

// Streams the configuration to the processes whose business it is.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin-service/service/model.h"
#include "lib/rpc/server.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

// What one process has got so far. Pure.
class Audience {
 public:
  explicit Audience(std::string process) : process_(std::move(process)) {}
  // What must be sent so that the process has `model`. The first is full, unless it has that
  // revision already.
  admin::v1::WatchReply Next(const Model& model, uint64_t known_revision);

 private:
  bool Hears(const config::Kind& kind) const;
  const std::string process_;
  bool first_ = true;
  std::map<Model::Key, uint64_t> sent_;  // revision of each object
};

struct Watcher {
  std::string process;
  std::string instance;
  std::string health;
  std::string version;
  uint64_t revision = 0;
};

class WatchService {
 public:
  explicit WatchService(ModelCache& models) : models_(models) {}
  net::Task<absl::Status> Watch(rpc::ServerCall& call);
  // Who watches now.
  std::vector<Watcher> watchers() const { return {watchers_.begin(), watchers_.end()}; }

 private:
  net::Task<absl::Status> Feed(rpc::ServerCall& call, Watcher& watcher, uint64_t known);
  ModelCache& models_;
  std::list<Watcher> watchers_;
};

}  // namespace posthorn::admin_service
