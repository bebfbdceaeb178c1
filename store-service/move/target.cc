#include "store-service/move/target.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/registry/sql_segment_registry.h"
#include "store-service/database/mysql/mail_schema.h"
#include "store-service/database/mysql/many_rows.h"
#include "store-service/database/mysql/migrate.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/directory/schema.h"
#include "store-service/queue/schema.h"

namespace posthorn::store_service {
namespace {

// Sums over many rows take a while; a server that is frozen must not keep mail waiting for long.
constexpr int kTimeoutS = 30;
constexpr size_t kLarge = size_t{1} << 20;
constexpr int kMostDeletes = 2000;

constexpr char kMakeState[] =
    "CREATE TABLE installation(one INT NOT NULL PRIMARY KEY, name VARBINARY(64) NOT NULL,"
    " begun BIGINT NOT NULL, completed BIGINT NOT NULL) ENGINE=InnoDB";
constexpr char kHasState[] =
    "SELECT count(*) FROM information_schema.tables WHERE table_schema=DATABASE() AND"
    " table_name='installation'";
constexpr char kTables[] =
    "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE()"
    " ORDER BY table_name";

constexpr std::string_view kProbe[] = {
    "DROP TABLE IF EXISTS posthorn_probe",
    "CREATE TABLE posthorn_probe(a INT NOT NULL PRIMARY KEY, b VARBINARY(10)) ENGINE=InnoDB",
    "ALTER TABLE posthorn_probe ADD COLUMN c BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX posthorn_probe_b ON posthorn_probe(b)",
    "INSERT INTO posthorn_probe(a,b) VALUES(1,'x')",
    "UPDATE posthorn_probe SET b='y' WHERE a=1",
    "DELETE FROM posthorn_probe WHERE a=1",
    "DROP TABLE posthorn_probe",
};

absl::StatusOr<std::vector<std::string>> TableNames(mysql::Connection& db) {
  std::vector<std::string> names;
  mysql::Cursor cursor = db.Query(kTables);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, cursor.Next());
    if (!more) return names;
    names.emplace_back(cursor.Text(0));
  }
}

// Everything that Prepare makes.
std::set<std::string> OwnTables() {
  std::set<std::string> names = {"installation", "schema_migration", "schema_oldest", "replica",
                                 "posthorn_probe"};
  for (const MoveTable& table : MoveTables()) names.insert(table.target);
  return names;
}

std::string ColumnNames(const MoveTable& table) {
  std::string names;
  for (const MoveColumn& column : table.columns) {
    base::StrAppend(names, names.empty() ? "`" : ",`", column.name, "`");
  }
  return names;
}

// The text that source.cc makes of a row.
std::string RowText(const MoveTable& table) {
  std::string text = "CONCAT_WS('#'";
  for (const MoveColumn& column : table.columns) {
    const std::string name = base::StrCat("`", column.name, "`");
    switch (column.type) {
      case MoveColumn::Type::kSigned:
      case MoveColumn::Type::kUnsigned:
        base::StrAppend(text, ",", name);
        break;
      case MoveColumn::Type::kBytes:
        base::StrAppend(text, ",LENGTH(", name, "),", name);
        break;
      case MoveColumn::Type::kBytesOrNull:
        base::StrAppend(text, ",COALESCE(LENGTH(", name, "),-1),COALESCE(", name, ",'')");
        break;
    }
  }
  return text + ")";
}

}  // namespace

absl::StatusOr<std::unique_ptr<MoveTarget>> MoveTarget::Open(mysql::Options options) {
  options.scripts = mysql::Options::Scripts::kYes;
  options.causality = mysql::Options::Causality::kNone;
  options.io_timeout_s = kTimeoutS;
  std::unique_ptr<MoveTarget> target(new MoveTarget(options));
  ASSIGN_OR_RETURN(target->db_, mysql::Connection::Open(options));
  // From here on the host that was found: what another node has not yet is no reason to go on.
  return target;
}

absl::Status MoveTarget::TryPrivileges() {
  for (const std::string_view statement : kProbe) {
    RETURN_IF_ERROR(base::Annotate(db_->Execute(statement),
                                   base::StrCat("the database's user may not do what a store needs "
                                                "(grant it everything on its database): ",
                                                statement.substr(0, statement.find('(')))));
  }
  return absl::OkStatus();
}

absl::Status MoveTarget::Prepare(std::string_view installation) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, TableNames(*db_));
  std::erase(names, "posthorn_probe");
  if (!names.empty()) {
    RETURN_IF_ERROR(RemoveUnfinished(installation));
    ASSIGN_OR_RETURN(names, TableNames(*db_));
    std::erase(names, "posthorn_probe");
  }
  if (!names.empty()) {
    return base::Precondition(
        base::StrCat("the database is not empty: it has the table ", names.front()));
  }
  RETURN_IF_ERROR(TryPrivileges());
  RETURN_IF_ERROR(db_->Execute(kMakeState));
  RETURN_IF_ERROR(db_->Run("INSERT INTO installation(one,name,begun,completed) VALUES(1,?,?,0)",
                           installation, base::WallMillis()));
  return MakeTables();
}

absl::Status MoveTarget::RemoveUnfinished(std::string_view installation) {
  ASSIGN_OR_RETURN(const int64_t known, db_->Integer(kHasState));
  if (known == 0) return absl::OkStatus();
  {
    mysql::Cursor cursor = db_->Query("SELECT name, completed FROM installation WHERE one=1");
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (row && cursor.Int(1) != 0) {
      return base::Precondition("the database holds an installation already");
    }
    if (row && cursor.Text(0) != installation) {
      return base::Precondition("the database holds an unfinished move of another installation");
    }
  }
  const std::set<std::string> own = OwnTables();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, TableNames(*db_));
  for (const std::string& name : names) {
    if (!own.contains(name)) {
      return base::Precondition(base::StrCat("the database has the table ", name,
                                             ", which no store made: it must be empty"));
    }
  }
  // The mark last: should this end in the middle, it is still known whose tables they are.
  for (const std::string& name : names) {
    if (name != "installation")
      RETURN_IF_ERROR(db_->Execute(base::StrCat("DROP TABLE `", name, "`")));
  }
  return db_->Execute("DROP TABLE installation");
}

absl::Status MoveTarget::MakeTables() {
  RETURN_IF_ERROR(mysql::Migrate(*db_, "mail", MysqlMailSteps()));
  const std::shared_ptr<sql::Database> shared = sql::OpenMysql(options_);
  ASSIGN_OR_RETURN(const std::unique_ptr<sql::Connection> connection, shared->Connect());
  RETURN_IF_ERROR(connection->Migrate("directory", DirectorySchema()));
  RETURN_IF_ERROR(connection->Migrate("queue", QueueSchema()));
  RETURN_IF_ERROR(SqlSegmentRegistry::Open(shared).status());
  // Rows that every new database begins with.
  for (const MoveTable& table : MoveTables()) {
    if (table.file == MoveFile::kSegments) continue;
    RETURN_IF_ERROR(db_->Execute(base::StrCat("DELETE FROM `", table.target, "`")));
  }
  return absl::OkStatus();
}

MoveTarget::Rows::Rows(MoveTarget& target, const MoveTable& table)
    : target_(target),
      head_(base::StrCat("REPLACE INTO `", table.target, "`(", ColumnNames(table), ") VALUES ")) {}

absl::Status MoveTarget::Rows::Add(std::string_view row) {
  text_ += text_.empty() ? std::string_view(head_) : std::string_view(",");
  text_ += row;
  return text_.size() < kLarge ? absl::OkStatus() : Finish();
}

absl::Status MoveTarget::Rows::Finish() {
  if (text_.empty()) return absl::OkStatus();
  return target_.Send(std::exchange(text_, {}));
}

absl::Status MoveTarget::Send(std::string_view text) {
  RETURN_IF_ERROR(SendDeletes());
  return db_->RunScript(text, 1).status();
}

absl::Status MoveTarget::SendDeletes() {
  if (delete_statements_ == 0) return absl::OkStatus();
  const std::string text = std::exchange(deletes_, {});
  return db_->RunScript(text, std::exchange(delete_statements_, 0)).status();
}

absl::Status MoveTarget::Delete(const MoveTable& table, std::string_view where) {
  base::StrAppend(deletes_, delete_statements_ == 0 ? "" : ";", "DELETE FROM `", table.target,
                  "` WHERE ", where);
  ++delete_statements_;
  if (transaction_ != nullptr && delete_statements_ < kMostDeletes) return absl::OkStatus();
  return SendDeletes();
}

absl::Status MoveTarget::Begin() {
  ASSIGN_OR_RETURN(mysql::Transaction transaction, mysql::Transaction::Begin(*db_));
  transaction_ = std::make_unique<mysql::Transaction>(std::move(transaction));
  return absl::OkStatus();
}

absl::Status MoveTarget::Commit() {
  RETURN_IF_ERROR(SendDeletes());
  RETURN_IF_ERROR(transaction_->Commit());
  transaction_.reset();
  return absl::OkStatus();
}

// 60 bits of each row: the driver cuts off numbers above 2^63.
absl::StatusOr<MoveSum> MoveTarget::Sum(const MoveTable& table, std::string_view where) {
  ASSIGN_OR_RETURN(
      const std::vector<uint64_t> values,
      db_->Numbers(base::StrCat("SELECT COUNT(*), COALESCE(BIT_XOR(CAST(CONV(LEFT(SHA2(",
                                RowText(table), ",256),15),16,10) AS UNSIGNED)),0) FROM `",
                                table.target, "` WHERE ", where)));
  if (values.size() != 2) return base::Internal("database: a sum is missing");
  return MoveSum{values[0], values[1]};
}

absl::StatusOr<uint64_t> MoveTarget::Count(const MoveTable& table) {
  ASSIGN_OR_RETURN(const int64_t rows,
                   db_->Integer(base::StrCat("SELECT count(*) FROM `", table.target, "`")));
  return static_cast<uint64_t>(rows);
}

absl::Status MoveTarget::Complete(std::string_view installation) {
  RETURN_IF_ERROR(Begin());
  const absl::Status status =
      db_->Run("UPDATE installation SET completed=? WHERE one=1 AND name=? AND completed=0",
               base::WallMillis(), installation);
  if (!status.ok() || db_->changes() != 1) {
    Rollback();
    return status.ok() ? base::Precondition("the database's mark is gone") : status;
  }
  const absl::Status committed = Commit();
  if (!committed.ok()) Rollback();
  return committed;
}

// Writes before it reads: the row's lock is had only when the session before has ended.
absl::StatusOr<bool> MoveTarget::IsComplete() {
  RETURN_IF_ERROR(Begin());
  absl::Status status = db_->Run("UPDATE installation SET begun=begun+1 WHERE one=1");
  absl::StatusOr<int64_t> completed = 0;
  if (status.ok()) completed = db_->Integer("SELECT completed FROM installation WHERE one=1");
  if (status.ok()) status = completed.status();
  if (status.ok()) status = Commit();
  if (status.ok()) return *completed != 0;
  Rollback();
  return status;
}

absl::Status ExpectNoUnfinishedMove(const mysql::Options& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<mysql::Connection> db, mysql::Connection::Open(options));
  ASSIGN_OR_RETURN(const int64_t known, db->Integer(kHasState));
  if (known == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t completed,
                   db->Integer("SELECT coalesce(max(completed),0) FROM installation"));
  if (completed != 0) return absl::OkStatus();
  return base::Precondition(
      "the database holds only a part of an installation: `posthorn store migrate` into it did not "
      "end; start with the files it was to come from, and run it again");
}

}  // namespace posthorn::store_service
