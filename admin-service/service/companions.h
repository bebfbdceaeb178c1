#pragma once

// The other processes, as they speak of themselves to any admin-service: Config.Report, and what
// admin-services tell each other by way of the store. On one loop.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin-service/service/reports.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"

namespace posthorn::admin_service {

class Companions {
 public:
  // `describe` says what this admin-service reports of itself.
  Companions(net::Loop& loop, rpc::Client& store,
             std::function<admin::v1::ProcessReport()> describe);
  ~Companions();
  // Before Server::Start.
  void Register(rpc::Server& server, const std::vector<std::string>& processes);
  // Meets the other admin-services every two seconds from now on.
  void Start();
  // Now; an error when no store answers. What was heard before stays.
  net::Task<absl::Status> Meet();
  // The last word: this admin-service ends in order.
  net::Task<void> Leave();
  std::vector<Reports::Heard> All() const;

 private:
  net::Task<absl::StatusOr<admin::v1::ReportReply>> Take(std::string role,
                                                         admin::v1::ProcessReport report);
  static net::Task<void> Run(Companions* self, std::shared_ptr<bool> alive);

  net::Loop& loop_;
  rpc::Client& store_;
  const std::function<admin::v1::ProcessReport()> describe_;
  Reports reports_;
  bool left_ = false;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace posthorn::admin_service
