#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store-service/database/sql/connection.h"
#include "store-service/objects/kind_schema.h"
#include "store-service/objects/secret_box.h"

namespace posthorn::store_service {

struct RevisionChange {
  std::string kind;
  std::string name;
  // Serialized with the key field, without write_only fields; nothing: did not exist.
  std::optional<std::string> before;
  std::optional<std::string> after;
  uint64_t object = 0;  // id of a directory kind's object; when written
};
struct Revision {
  uint64_t revision = 0;
  int64_t time_ms = 0;
  std::string author;
  std::string reason;
  std::vector<RevisionChange> changes;
  std::string commit_id;  // when written
};
// Where a history ends. Two histories that differ never have the same tip.
struct Tip {
  uint64_t revision = 0;
  std::string commit_id;  // made by who committed; empty: before there were such ids
  friend bool operator==(const Tip&, const Tip&) = default;
};

// All block; writing happens in the caller's transaction.
absl::StatusOr<uint64_t> ReadHead(sql::Connection& db);
absl::StatusOr<Tip> ReadTip(sql::Connection& db);
// kNotFound: no such revision.
absl::StatusOr<std::string> ReadCommitId(sql::Connection& db, uint64_t revision);
// kAborted: the head is not the expected one.
absl::Status MovedOn();
// head := expected + 1. MovedOn(): it was not `expected`.
absl::Status AdvanceHead(sql::Connection& db, uint64_t expected);
absl::Status WriteRevision(sql::Connection& db, const Revision& revision);
absl::Status WriteRevisionChange(sql::Connection& db, const SecretBox& box, uint64_t revision,
                                 int position, const KindSchema& kind,
                                 const RevisionChange& change);
struct HistoryQuery {
  uint64_t revision = 0;  // only this one; 0: all
  uint64_t before = 0;    // only those below; 0: all
  uint32_t limit = 100;
};
// Newest first.
absl::StatusOr<std::vector<Revision>> ReadHistory(sql::Connection& db, const SecretBox& box,
                                                  const HistoryQuery& query);

}  // namespace posthorn::store_service
