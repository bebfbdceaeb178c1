#pragma once

// posthorn.admin.v1.Operations: what an operator wants to know or do besides configuration.

#include "admin-service/service/authority.h"
#include "admin-service/service/config_service.h"
#include "admin-service/service/status_service.h"
#include "lib/cluster/queues.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"

namespace posthorn::admin_service {

class OperationsService {
 public:
  struct Peers {
    net::Loop& loop;
    rpc::Client& store;
    cluster::Queues& queue;
  };
  // All outlive this.
  OperationsService(Peers peers, ConfigService& config, StatusService& status, Authority& authority)
      : peers_(std::move(peers)), config_(config), status_(status), authority_(authority) {}

  void Register(rpc::Server& server);

 private:
  template <class R>
  using Reply = net::Task<absl::StatusOr<R>>;
  Reply<admin::v1::LoginReply> Login(rpc::CallContext context, admin::v1::LoginRequest request);
  Reply<admin::v1::StatusReply> Status(rpc::CallContext context, admin::v1::StatusRequest request);
  Reply<admin::v1::TraceReply> Trace(rpc::CallContext context, admin::v1::TraceRequest request);
  Reply<admin::v1::QueueListReply> QueueList(rpc::CallContext context,
                                             admin::v1::QueueListRequest request);
  Reply<admin::v1::QueueActReply> QueueAct(rpc::CallContext context,
                                           admin::v1::QueueActRequest request);
  Reply<admin::v1::SetPasswordReply> SetPassword(rpc::CallContext context,
                                                 admin::v1::SetPasswordRequest request);
  Reply<admin::v1::JournalsReply> Journals(rpc::CallContext context,
                                           admin::v1::JournalsRequest request);
  Reply<admin::v1::ForgetJournalReply> ForgetJournal(rpc::CallContext context,
                                                     admin::v1::ForgetJournalRequest request);
  net::Task<absl::Status> StoreCheck(rpc::ServerCall& call);
  net::Task<absl::Status> StoreMigrate(rpc::ServerCall& call);

  const Peers peers_;
  ConfigService& config_;
  StatusService& status_;
  Authority& authority_;
};

}  // namespace posthorn::admin_service
