#pragma once

// One change on its way: what the store holds, and what shall be there after it. Invariants:
//  1. Nothing is checked while edits are made; Check() sees the whole, so one apply may add things
//  that refer to
//     each other in any order.
//  2. Everything read is remembered, and the commit is guarded by the model's revision: what was
//  checked holds.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "admin-service/service/model.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

class Workspace {
 public:
  using MessagePtr = std::shared_ptr<const google::protobuf::Message>;
  struct Edit {
    const config::Kind* kind = nullptr;
    std::string name;
    std::shared_ptr<const StoredObject> before;  // null: is new
    MessagePtr after;                            // null: goes
    std::string renamed_from;
  };
  Workspace(const config::Schema& schema, ObjectStore& store, std::shared_ptr<const Model> model);

  const config::Schema& schema() const { return schema_; }
  const Model& model() const { return *model_; }
  // As stored; null when there is none.
  net::Task<absl::StatusOr<std::shared_ptr<const StoredObject>>> Stored(const config::Kind& kind,
                                                                        std::string name);
  // As it will be; null when there will be none.
  net::Task<absl::StatusOr<MessagePtr>> After(const config::Kind& kind, std::string name);
  // All stored names of a kind.
  net::Task<absl::StatusOr<std::vector<std::string>>> Names(const config::Kind& kind,
                                                            std::string suffix);
  // All objects of a kind that is not a directory kind, as they will be.
  std::vector<std::pair<std::string, MessagePtr>> AllAfter(const config::Kind& kind) const;

  // `after` under the name its key field says; `before` is what Stored() gave for `name`.
  void Put(const config::Kind& kind, const std::string& name,
           std::shared_ptr<const StoredObject> before, MessagePtr after);
  void Remove(std::shared_ptr<const StoredObject> before);
  void Warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  const std::map<Model::Key, Edit>& edits() const { return edits_; }
  // Forgets edits that change nothing. Rules, references, kinds' own rules: every violation as a
  // line.
  net::Task<absl::Status> Check();
  // Differences and warnings; revision 0.
  admin::v1::ChangeReply Describe() const;
  // For the store, guarded by the model's revision.
  store::v1::CommitRequest ToCommit(const std::string& author, const std::string& reason) const;

 private:
  void DropUnchanged();
  net::Task<absl::Status> CheckReferences(const Edit& edit, std::vector<std::string>& wrong);
  net::Task<absl::Status> CheckUsers(const config::Kind& kind, std::string name,
                                     std::vector<std::string>& wrong);
  void CheckUnique(const Edit& edit, std::vector<std::string>& wrong) const;

  const config::Schema& schema_;
  ObjectStore& store_;
  std::shared_ptr<const Model> model_;
  std::map<Model::Key, Edit> edits_;
  // Directory objects read so far.
  std::map<Model::Key, std::shared_ptr<const StoredObject>> read_;
  std::vector<std::string> warnings_;
};

}  // namespace posthorn::admin_service
