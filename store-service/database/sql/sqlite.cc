#include "store-service/database/sql/sqlite.h"

#include <utility>
#include <vector>

#include "lib/sqlite/connection.h"
#include "lib/sqlite/migrate.h"
#include "store-service/database/sql/migration.h"

namespace posthorn::store_service::sql {
namespace {

void BindAll(sqlite::Cursor& cursor, std::span<const Argument> arguments) {
  int index = 0;
  for (const Argument& argument : arguments) {
    ++index;
    switch (argument.type()) {
      case Argument::Type::kNull:
        cursor.Bind(index, std::optional<int64_t>());
        break;
      case Argument::Type::kInteger:
        cursor.Bind(index, argument.integer());
        break;
      case Argument::Type::kReal:
        cursor.Bind(index, argument.real());
        break;
      case Argument::Type::kText:
        cursor.Bind(index, argument.text());
        break;
      case Argument::Type::kBytes:
        cursor.Bind(index, sqlite::Bytes(argument.text()));
        break;
    }
  }
}

class SqliteRows final : public Rows {
 public:
  explicit SqliteRows(sqlite::Cursor cursor) : cursor_(std::move(cursor)) {}
  absl::StatusOr<bool> Next() override { return cursor_.Next(); }
  int64_t Int(int column) const override { return cursor_.Int(column); }
  double Real(int column) const override { return cursor_.Real(column); }
  std::string_view Text(int column) const override { return cursor_.Text(column); }
  bool IsNull(int column) const override { return cursor_.IsNull(column); }

 private:
  sqlite::Cursor cursor_;
};

class SqliteConnection final : public Connection {
 public:
  SqliteConnection(std::unique_ptr<sqlite::Connection> db, std::shared_ptr<WriteGate> gate)
      : db_(std::move(db)), gate_(std::move(gate)) {}

  absl::Status Execute(std::string_view sql, std::span<const Argument> arguments) override {
    if (gate_ == nullptr || writing_) return ExecuteNow(sql, arguments);
    RETURN_IF_ERROR(gate_->Enter());
    const absl::Status status = ExecuteNow(sql, arguments);
    gate_->Leave();
    return status;
  }
  std::unique_ptr<Rows> Open(std::string_view sql, std::span<const Argument> arguments) override {
    sqlite::Cursor cursor = db_->Query(sql);
    BindAll(cursor, arguments);
    return std::make_unique<SqliteRows>(std::move(cursor));
  }
  absl::Status Migrate(std::string_view, std::span<const Migration> steps) override {
    std::vector<sqlite::Migration> own;
    for (const Migration& step : steps) own.push_back({step.number, step.sqlite, step.oldest});
    return sqlite::Migrate(*db_, own);
  }
  int64_t changes() const override { return db_->changes(); }
  bool shared() const override { return false; }
  std::string_view clock_ms() const override {
    return "CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)";
  }

 protected:
  absl::Status Begin(Access access) override {
    if (access == Access::kRead) return db_->Run("BEGIN");
    if (gate_ != nullptr) RETURN_IF_ERROR(gate_->Enter());
    writing_ = true;
    absl::Status status = db_->Run("BEGIN IMMEDIATE");
    if (!status.ok()) Ended();
    return status;
  }
  absl::Status Commit() override {
    absl::Status status = db_->Run("COMMIT");
    if (status.ok()) Ended();
    return status;
  }
  // It fails only when SQLite has rolled back by itself already (disk full).
  void Rollback() override {
    (void)db_->Run("ROLLBACK");
    Ended();
  }
  uint64_t conflicts() const override { return 0; }

 private:
  absl::Status ExecuteNow(std::string_view sql, std::span<const Argument> arguments) {
    sqlite::Cursor cursor = db_->Query(sql);
    BindAll(cursor, arguments);
    return cursor.Next().status();
  }
  void Ended() {
    if (std::exchange(writing_, false) && gate_ != nullptr) gate_->Leave();
  }

  std::unique_ptr<sqlite::Connection> db_;
  const std::shared_ptr<WriteGate> gate_;
  bool writing_ = false;
};

class SqliteFile final : public Database {
 public:
  explicit SqliteFile(SqliteOptions options) : options_(std::move(options)) {}
  absl::StatusOr<std::unique_ptr<Connection>> Connect() override {
    ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Connection> db,
                     sqlite::Connection::Open({.path = options_.path, .vfs = options_.vfs}));
    // What an earlier run wrote, and was killed before it could sync, is believed from now on.
    RETURN_IF_ERROR(db->Checkpoint(sqlite::Connection::Checkpointing::kPassive).status());
    return std::unique_ptr<Connection>(
        std::make_unique<SqliteConnection>(std::move(db), options_.gate));
  }
  bool shared() const override { return false; }

 private:
  const SqliteOptions options_;
};

}  // namespace

std::unique_ptr<Database> OpenSqlite(SqliteOptions options) {
  return std::make_unique<SqliteFile>(std::move(options));
}

}  // namespace posthorn::store_service::sql
