#pragma once

// Configuration as the store keeps it: objects, their revisions, and the directory's own tables, in
// one database apart from the mail's rows. Everything blocks; one thread at a time for each of
// Writer and Reader. Invariants:
//  1. A commit is one transaction with a guarded update of the head: of two that saw the same head
//  one is kAborted.
//  2. No row holds a write_only value, and none of a kind with secrets is readable without the key.
//  3. Nothing here names a kind but MakeTable.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store-service/database/sql/connection.h"
#include "store-service/directory/records.h"
#include "store-service/objects/credentials.h"
#include "store-service/objects/generic_table.h"
#include "store-service/objects/kind_schema.h"
#include "store-service/objects/kind_table.h"
#include "store-service/objects/revisions.h"
#include "store-service/objects/secret_box.h"

namespace posthorn::store_service {

// One object's change, ready to be written: checked against its kind, passwords already hashed.
struct PreparedChange {
  std::shared_ptr<const KindSchema> kind;
  std::string name;
  std::string data;  // without key and write_only fields
  bool remove = false;
  std::optional<uint64_t> expected_revision;
  std::string renamed_from;
  struct NewCredential {
    std::string field;
    Credential credential;
  };
  std::vector<NewCredential> credentials;
};
struct PreparedCommit {
  uint64_t expected_head = 0;
  std::string author;
  std::string reason;
  int64_t time_ms = 0;
  std::string commit_id;  // 16 bytes nobody else has
  std::vector<PreparedChange> changes;
};
// One commit, or several of others together.
struct Committed {
  uint64_t since = 0;  // the head before
  uint64_t revision = 0;
  DirectoryDelta delta;
  // Several: all addresses and domain names they were about.
  std::vector<std::string> names;
};
// The whole directory at one moment.
struct Everything {
  Tip tip;
  DirectoryDelta directory;
};
struct Followed {
  Tip tip;
  Committed committed;
  std::vector<base::AccountId> erased;
  // What was seen is no part of the history (the database lost its newest commits): `delta` is all
  // there is.
  bool other_history = false;
};

struct ObjectPage {
  struct Item {
    std::string kind;
    ObjectRow row;  // with its key field
  };
  std::vector<Item> items;
  bool more = false;
  uint64_t revision = 0;
};

class ObjectStore {
 public:
  // A connection of its own; the tables are made when they are not there. `box` and `kinds` outlive
  // this.
  static absl::StatusOr<std::unique_ptr<ObjectStore>> Open(sql::Database& database,
                                                           const SecretBox& box, Kinds& kinds);

  static constexpr size_t kMaxName = 1000;

  absl::StatusOr<Everything> LoadAll();
  // What happened since `seen`; the same tip: nothing.
  absl::StatusOr<Followed> Since(const Tip& seen);
  // kAborted: the head or a guarded object moved. kAlreadyExists: a name or address is taken, or an
  // object exists that must not. kNotFound: an object to remove or rename, or an address's domain.
  // kFailedPrecondition: a domain that is still used. kInvalidArgument: two changes of one object.
  // kUnknown: it may have happened.
  absl::StatusOr<Committed> Commit(const PreparedCommit& commit);
  absl::StatusOr<ObjectPage> List(std::string_view kind, std::string_view name,
                                  const ListQuery& query);
  absl::StatusOr<std::vector<Revision>> History(const HistoryQuery& query) {
    return ReadHistory(*db_, *box_, query);
  }
  absl::StatusOr<uint64_t> Head() { return ReadHead(*db_); }
  sql::Connection& db() { return *db_; }

 private:
  ObjectStore(std::unique_ptr<sql::Connection> db, const SecretBox& box, Kinds& kinds)
      : db_(std::move(db)), box_(&box), kinds_(&kinds) {}
  std::unique_ptr<KindTable> MakeTable(std::shared_ptr<const KindSchema> kind,
                                       DirectoryDelta& delta);
  absl::StatusOr<ObjectPage> ListAll(const ListQuery& query);

  std::unique_ptr<sql::Connection> db_;
  const SecretBox* box_;
  Kinds* kinds_;
  friend class CommitRun;
};

}  // namespace posthorn::store_service
