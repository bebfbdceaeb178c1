#pragma once

// Asks everybody how they are, for `posthorn status`.

#include <string>
#include <vector>

#include "admin-service/service/companions.h"
#include "admin-service/service/config_service.h"
#include "admin-service/service/model.h"
#include "lib/base/clock.h"
#include "lib/cluster/queues.h"

namespace posthorn::admin_service {

// Of `processes` those that this configuration needs: a gateway only when it has a listener to
// serve.
std::vector<std::string> Needed(std::vector<std::string> processes, const Model& model);

class StatusService {
 public:
  // All outlive this. `expected`: processes of which there ought to be one at least.
  struct Parts {
    net::Loop& loop;
    rpc::Client& store;
    cluster::Queues& queue;
    ConfigService& config;
    ModelCache& models;
    Companions& companions;
    std::vector<std::string> expected;
  };
  explicit StatusService(Parts parts) : parts_(std::move(parts)) {}
  net::Task<admin::v1::StatusReply> Look();
  // To be called every now and then, so that it is known since when a revision is the newest.
  void NoteRevision();

 private:
  net::Task<void> AddSilentWatchers(admin::v1::StatusReply& reply);
  void AddCertificates(admin::v1::StatusReply& reply) const;

  const Parts parts_;
  const int64_t began_ms_ = base::MonotonicMicros() / 1000;
  uint64_t revision_ = 0;
  int64_t revision_since_ms_ = 0;
};

}  // namespace posthorn::admin_service
