#pragma once

// The rows of one kind. Kinds that grow with users have tables of their own, all others share one;
// Commit and List see only this.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::store_service {

struct ObjectRow {
  std::string name;
  uint64_t revision = 0;
  uint64_t id = 0;   // directory kinds only
  std::string data;  // without key and write_only fields
};

struct ListQuery {
  std::string after;
  std::string suffix;
  uint32_t limit = 1000;
};

// Everything happens in the caller's transaction and blocks.
class KindTable {
 public:
  virtual ~KindTable() = default;
  virtual absl::StatusOr<std::optional<ObjectRow>> Find(std::string_view name) = 0;
  // Gives up the names of a row that is about to be removed, renamed or replaced, so that others
  // can take them.
  virtual absl::Status ReleaseNames(const ObjectRow& row) = 0;
  // Writes an object whose old row (null: none) has released its names. Answers its id.
  // `session_revision` is the revision from which on its tickets are valid. kAlreadyExists: a name
  // is taken; kInvalidArgument, kNotFound: a name that cannot be (a domain that is not there).
  struct NewRow {
    std::string name;
    std::string data;
    uint64_t revision = 0;
    bool new_password = false;
  };
  virtual absl::StatusOr<uint64_t> Put(const ObjectRow* old, const NewRow& row) = 0;
  virtual absl::Status Remove(const ObjectRow& row, uint64_t revision) = 0;
  // When all changes of a commit are in. kFailedPrecondition: a removed row is still needed.
  virtual absl::Status CheckRemoved(const ObjectRow& row) = 0;
  // Ordered by name, at most `limit` + 1 rows.
  virtual absl::StatusOr<std::vector<ObjectRow>> List(const ListQuery& query) = 0;
};

}  // namespace posthorn::store_service
