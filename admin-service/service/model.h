#pragma once

// All objects that are not in the directory, at one revision: what snapshots are made of and
// references point to.

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "admin-service/service/object_store.h"
#include "lib/config/schema.h"
#include "lib/net/loop.h"

namespace posthorn::admin_service {

struct StoredObject {
  const config::Kind* kind = nullptr;
  std::string name;
  uint64_t revision = 0;  // 0: a singleton that was never stored
  std::shared_ptr<const google::protobuf::Message> value;
};

// Immutable. Holds every singleton, stored or not.
class Model {
 public:
  // Word of the kind and name: the order people read.
  using Key = std::pair<std::string, std::string>;
  uint64_t revision() const { return revision_; }
  const std::map<Key, StoredObject>& objects() const { return objects_; }
  const StoredObject* Find(const config::Kind& kind, const std::string& name) const;

 private:
  friend class ModelCache;
  uint64_t revision_ = 0;
  std::map<Key, StoredObject> objects_;
};

// The object as this release sees it: defaults for fields that came later; null for kinds it does
// not know.
std::shared_ptr<const StoredObject> Decode(const config::Schema& schema,
                                           const store::v1::Object& object);

// Follows the store's head. On one loop.
class ModelCache {
 public:
  ModelCache(net::Loop& loop, const config::Schema& schema, ObjectStore& store);
  // Never null; revision 0 before the first Refresh.
  std::shared_ptr<const Model> current() const { return current_; }
  // Reads the store again when its head moved.
  net::Task<absl::Status> Refresh();
  // Notified after each change of current().
  net::Signal& changed() { return changed_; }
  // True while the last Refresh succeeded.
  bool fresh() const { return fresh_; }
  // How many times the store was asked; and the latest of them that it has answered.
  uint64_t asked() const { return asked_; }
  uint64_t answered() const { return answered_; }

 private:
  net::Task<absl::StatusOr<std::shared_ptr<const Model>>> Load();
  // False when the head moved since the model's first page.
  net::Task<absl::StatusOr<bool>> LoadKind(const config::Kind& kind, Model& model);
  void AddSingletons(Model& model) const;

  const config::Schema& schema_;
  ObjectStore& store_;
  std::shared_ptr<const Model> current_;
  net::Signal changed_;
  bool fresh_ = false;
  uint64_t asked_ = 0;
  uint64_t answered_ = 0;
};

}  // namespace posthorn::admin_service
