#pragma once

// The ways to change configuration, each as a function on a Workspace. None commits.

#include "admin-service/service/workspace.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

// The form of `name` under which an object of `kind` is stored.
absl::StatusOr<std::string> NormalName(const config::Schema& schema, const config::Kind& kind,
                                       std::string_view name);

class Edit {
 public:
  virtual ~Edit() = default;
  // May be called again on a newer workspace, when a race was lost.
  virtual net::Task<absl::Status> Make(Workspace& workspace) = 0;
};

std::unique_ptr<Edit> NewPut(admin::v1::PutRequest request);
std::unique_ptr<Edit> NewDelete(admin::v1::DeleteRequest request);
std::unique_ptr<Edit> NewApply(admin::v1::ApplyRequest request);
// `store` is asked for the revisions since.
std::unique_ptr<Edit> NewRollback(ObjectStore& store, admin::v1::RollbackRequest request);
// Puts whole objects (first start).
std::unique_ptr<Edit> NewObjects(
    std::vector<std::shared_ptr<const google::protobuf::Message>> objects);

}  // namespace posthorn::admin_service
