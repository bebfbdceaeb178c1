#pragma once

// Commits edits: checked against the newest model, guarded by its revision, made again after a lost
// race.

#include <string>

#include "admin-service/service/edits.h"
#include "admin-service/service/model.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

class Editor {
 public:
  enum class Mode { kCommit, kDryRun };
  struct Intent {
    std::string author;
    std::string reason;
    Mode mode = Mode::kCommit;
    uint64_t expected_head = 0;  // 0: any
  };
  Editor(const config::Schema& schema, ObjectStore& store, ModelCache& models)
      : schema_(schema), store_(store), models_(models) {}

  // The differences; revision 0 when nothing changed or with kDryRun. kInvalidArgument: every
  // violation as a line.
  net::Task<absl::StatusOr<admin::v1::ChangeReply>> Run(std::unique_ptr<Edit> edit, Intent intent);

 private:
  const config::Schema& schema_;
  ObjectStore& store_;
  ModelCache& models_;
};

}  // namespace posthorn::admin_service
