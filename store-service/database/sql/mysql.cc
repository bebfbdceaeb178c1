#include "store-service/database/sql/mysql.h"

#include <unordered_map>
#include <vector>

#include "lib/base/strings.h"
#include "store-service/database/mysql/error.h"
#include "store-service/database/mysql/migrate.h"
#include "store-service/database/sql/migration.h"
#include "store-service/database/sql/placeholders.h"

namespace posthorn::store_service::sql {
namespace {

void Bind(mysql::Cursor& cursor, int index, const Argument& argument) {
  switch (argument.type()) {
    case Argument::Type::kNull:
      return cursor.Bind(index, nullptr);
    case Argument::Type::kInteger:
      return cursor.Bind(index, argument.integer());
    case Argument::Type::kReal:
      return cursor.Bind(index, argument.real());
    case Argument::Type::kText:
    case Argument::Type::kBytes:
      return cursor.Bind(index, argument.text());
  }
}

class MysqlRows final : public Rows {
 public:
  MysqlRows(mysql::Cursor cursor, uint64_t& conflicts)
      : cursor_(std::move(cursor)), conflicts_(conflicts) {}
  absl::StatusOr<bool> Next() override {
    absl::StatusOr<bool> row = cursor_.Next();
    if (mysql::IsRetry(row.status())) ++conflicts_;
    return row;
  }
  int64_t Int(int column) const override { return cursor_.Int(column); }
  double Real(int column) const override { return cursor_.Real(column); }
  std::string_view Text(int column) const override { return cursor_.Text(column); }
  bool IsNull(int column) const override { return cursor_.IsNull(column); }

 private:
  mysql::Cursor cursor_;
  uint64_t& conflicts_;
};

// A query that could not begin.
class NoRows final : public Rows {
 public:
  explicit NoRows(absl::Status status) : status_(std::move(status)) {}
  absl::StatusOr<bool> Next() override { return status_; }
  int64_t Int(int) const override { return 0; }
  double Real(int) const override { return 0; }
  std::string_view Text(int) const override { return ""; }
  bool IsNull(int) const override { return true; }

 private:
  const absl::Status status_;
};

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class MysqlConnection final : public Connection {
 public:
  MysqlConnection(std::unique_ptr<mysql::Connection> db, mysql::Options options)
      : db_(std::move(db)), options_(std::move(options)) {}

  absl::Status Execute(std::string_view sql, std::span<const Argument> arguments) override {
    return Open(sql, arguments)->Next().status();
  }
  std::unique_ptr<Rows> Open(std::string_view sql, std::span<const Argument> arguments) override {
    const Placeholders& text = Translated(sql);
    mysql::Cursor cursor = db_->Query(text.sql);
    int index = 0;
    for (const uint32_t argument : text.order) {
      if (argument >= arguments.size())
        return std::make_unique<NoRows>(base::Internal(base::StrCat("missing argument: ", sql)));
      Bind(cursor, ++index, arguments[argument]);
    }
    return std::make_unique<MysqlRows>(std::move(cursor), conflicts_);
  }
  absl::Status Migrate(std::string_view part, std::span<const Migration> steps) override {
    std::vector<mysql::Step> own;
    for (const Migration& step : steps) own.push_back({step.number, step.mysql, step.oldest});
    return mysql::Migrate(options_, part, own);
  }
  int64_t changes() const override { return db_->changes(); }
  bool shared() const override { return true; }
  // SYSDATE, not NOW: a statement that waited for a lock sees the time after it.
  std::string_view clock_ms() const override {
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3))*1000 AS SIGNED)";
  }

 protected:
  absl::Status Begin(Access access) override {
    using Kind = mysql::Transaction::Kind;
    absl::StatusOr<mysql::Transaction> begun =
        mysql::Transaction::Begin(*db_, access == Access::kWrite ? Kind::kWrite : Kind::kSnapshot);
    RETURN_IF_ERROR(begun.status());
    transaction_.emplace(*std::move(begun));
    return absl::OkStatus();
  }
  absl::Status Commit() override {
    absl::Status status = transaction_->Commit();
    if (mysql::IsRetry(status)) ++conflicts_;
    if (status.ok()) transaction_.reset();
    return status;
  }
  void Rollback() override { transaction_.reset(); }
  uint64_t conflicts() const override { return conflicts_; }

 private:
  const Placeholders& Translated(std::string_view sql) {
    const auto found = translated_.find(sql);
    if (found != translated_.end()) return found->second;
    return translated_.emplace(std::string(sql), Translate(sql)).first->second;
  }

  std::unique_ptr<mysql::Connection> db_;
  const mysql::Options options_;
  std::optional<mysql::Transaction> transaction_;
  uint64_t conflicts_ = 0;
  std::unordered_map<std::string, Placeholders, TextHash, std::equal_to<>> translated_;
};

class MysqlDatabase final : public Database {
 public:
  explicit MysqlDatabase(mysql::Options options) : options_(std::move(options)) {}
  absl::StatusOr<std::unique_ptr<Connection>> Connect() override {
    ASSIGN_OR_RETURN(std::unique_ptr<mysql::Connection> db, mysql::Connection::Open(options_));
    return std::unique_ptr<Connection>(std::make_unique<MysqlConnection>(std::move(db), options_));
  }
  bool shared() const override { return true; }

 private:
  const mysql::Options options_;
};

}  // namespace

std::unique_ptr<Database> OpenMysql(mysql::Options options) {
  return std::make_unique<MysqlDatabase>(std::move(options));
}

}  // namespace posthorn::store_service::sql
