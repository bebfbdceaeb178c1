#pragma once

// posthorn.admin.v1.Config: translates, authorises, and leaves the work to Editor, Model and
// WatchService.

#include "admin-service/service/authority.h"
#include "admin-service/service/editor.h"
#include "admin-service/service/watch.h"
#include "lib/rpc/server.h"

namespace posthorn::admin_service {

class ConfigService {
 public:
  ConfigService(const config::Schema& schema, ObjectStore& store, ModelCache& models,
                Authority& authority)
      : schema_(schema),
        store_(store),
        models_(models),
        authority_(authority),
        editor_(schema, store, models),
        watch_(models) {}

  // Before Server::Start. `processes` may watch.
  void Register(rpc::Server& server, const std::vector<std::string>& processes);
  std::vector<Watcher> watchers() const { return watch_.watchers(); }
  Editor& editor() { return editor_; }

 private:
  template <class R>
  using Reply = net::Task<absl::StatusOr<R>>;
  Reply<admin::v1::ConfigObject> Get(rpc::CallContext context, admin::v1::GetRequest request);
  Reply<admin::v1::ListReply> List(rpc::CallContext context, admin::v1::ListRequest request);
  Reply<admin::v1::ChangeReply> Put(rpc::CallContext context, admin::v1::PutRequest request);
  Reply<admin::v1::ChangeReply> Delete(rpc::CallContext context, admin::v1::DeleteRequest request);
  Reply<admin::v1::ChangeReply> Apply(rpc::CallContext context, admin::v1::ApplyRequest request);
  Reply<admin::v1::ChangeReply> Diff(rpc::CallContext context, admin::v1::DiffRequest request);
  Reply<admin::v1::ChangeReply> Rollback(rpc::CallContext context,
                                         admin::v1::RollbackRequest request);
  Reply<admin::v1::HistoryReply> History(rpc::CallContext context,
                                         admin::v1::HistoryRequest request);
  Reply<admin::v1::SchemaReply> ReadSchema(rpc::CallContext context,
                                           admin::v1::SchemaRequest request);

  net::Task<absl::StatusOr<admin::v1::ListReply>> ListDirectory(const config::Kind& kind,
                                                                admin::v1::ListRequest request);
  admin::v1::ListReply ListModel(const config::Kind& kind,
                                 const admin::v1::ListRequest& request) const;

  const config::Schema& schema_;
  ObjectStore& store_;
  ModelCache& models_;
  Authority& authority_;
  Editor editor_;
  WatchService watch_;
};

}  // namespace posthorn::admin_service
