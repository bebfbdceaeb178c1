#pragma once

// The MySQL side of a move. One thread. The table `installation` says whose rows the database
// holds, and whether all of them are there.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/mysql/connection.h"
#include "store-service/move/source.h"
#include "store-service/move/tables.h"

namespace posthorn::store_service {

class MoveTarget {
 public:
  // kUnavailable: no host answers; kPermissionDenied; kFailedPrecondition: there is no such
  // database.
  static absl::StatusOr<std::unique_ptr<MoveTarget>> Open(mysql::Options options);

  // Settings with which it would lose acknowledged mail, in words.
  absl::StatusOr<std::vector<std::string>> Warnings() { return db_->DurabilityWarnings(); }
  // What a user without all privileges may not do is told by kPermissionDenied.
  absl::Status TryPrivileges();
  // kFailedPrecondition: something is in it that is no unfinished move of `installation`. What such
  // a move left is removed; then all tables are made, empty.
  absl::Status Prepare(std::string_view installation);

  // Adds rows; those of the same key are replaced.
  class Rows {
   public:
    Rows(MoveTarget& target, const MoveTable& table);
    // Sent when much has come together.
    absl::Status Add(std::string_view row);
    absl::Status Finish();

   private:
    MoveTarget& target_;
    const std::string head_;
    std::string text_;
  };
  // Within Rows of the same transaction, or by itself.
  absl::Status Delete(const MoveTable& table, std::string_view where);
  absl::Status Begin();
  absl::Status Commit();
  void Rollback() { transaction_.reset(); }

  absl::StatusOr<MoveSum> Sum(const MoveTable& table, std::string_view where);
  absl::StatusOr<uint64_t> Count(const MoveTable& table);

  // The rows are all there and are from now on what counts. kUnknown: perhaps.
  absl::Status Complete(std::string_view installation);
  // After kUnknown: whether it is complete; what is answered stays so, a COMMIT that is still on
  // its way cannot come true any more.
  absl::StatusOr<bool> IsComplete();
  std::string host() const { return mysql::ToString(db_->host()); }
  const mysql::Options& options() const { return options_; }

 private:
  explicit MoveTarget(mysql::Options options) : options_(std::move(options)) {}
  absl::Status MakeTables();
  absl::Status RemoveUnfinished(std::string_view installation);
  absl::Status Send(std::string_view text);
  absl::Status SendDeletes();

  const mysql::Options options_;
  std::unique_ptr<mysql::Connection> db_;
  std::unique_ptr<mysql::Transaction> transaction_;
  std::string deletes_;
  int delete_statements_ = 0;
};

// For a store that starts on the database: kFailedPrecondition when a move into it never ended.
absl::Status ExpectNoUnfinishedMove(const mysql::Options& options);

}  // namespace posthorn::store_service
