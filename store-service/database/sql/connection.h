#pragma once

// One narrow face of an SQL database for what is not mail: the directory, registries, journals of
// queues. One SQL text runs on SQLite and on MySQL (what it may use stands in README.md). All calls
// block; a connection and all that came from it belong to one thread at a time.
//
// Error codes:
//   kAlreadyExists       a unique or primary key is taken
//   kFailedPrecondition  any other constraint
//   kAborted             the transaction lost against another (deadlock, lock time-out,
//                        certification on Galera) and is rolled back: Transact() runs it again
//   kUnknown             only from Commit: the link broke, it may or may not have happened
//   kUnavailable         the database is away or busy; the next transaction or statement outside of
//                        one connects again by itself
//   kResourceExhausted   no room
//   kDataLoss            damaged
//   kInternal            the rest, wrong SQL too

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/status_macros.h"
#include "store-service/database/sql/argument.h"

namespace posthorn::store_service::sql {

struct Migration;

// The rows of one query. Views end with the next Next().
class Rows {
 public:
  virtual ~Rows() = default;
  virtual absl::StatusOr<bool> Next() = 0;
  virtual int64_t Int(int column) const = 0;
  virtual double Real(int column) const = 0;
  // Text or bytes; empty for NULL.
  virtual std::string_view Text(int column) const = 0;
  virtual bool IsNull(int column) const = 0;
};

class Cursor {
 public:
  explicit Cursor(std::unique_ptr<Rows> rows) : rows_(std::move(rows)) {}
  // False: no more rows. Errors of the query itself are told here too.
  absl::StatusOr<bool> Next() { return rows_->Next(); }
  int64_t Int(int column) const { return rows_->Int(column); }
  uint64_t Unsigned(int column) const { return static_cast<uint64_t>(rows_->Int(column)); }
  double Real(int column) const { return rows_->Real(column); }
  std::string_view Text(int column) const { return rows_->Text(column); }
  bool IsNull(int column) const { return rows_->IsNull(column); }

 private:
  std::unique_ptr<Rows> rows_;
};

class Connection {
 public:
  virtual ~Connection() = default;

  // Statements are prepared once and kept by their text, so `sql` is one of few constant texts.
  // `Run` is for statements without rows.
  template <class... Args>
  absl::Status Run(std::string_view sql, const Args&... args) {
    const std::array<Argument, sizeof...(Args)> all{Argument(args)...};
    return Execute(sql, all);
  }
  template <class... Args>
  Cursor Query(std::string_view sql, const Args&... args) {
    const std::array<Argument, sizeof...(Args)> all{Argument(args)...};
    return Cursor(Open(sql, all));
  }
  // The single integer a query yields; kNotFound without a row.
  template <class... Args>
  absl::StatusOr<int64_t> Integer(std::string_view sql, const Args&... args) {
    Cursor cursor = Query(sql, args...);
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return absl::NotFoundError("no row");
    return cursor.Int(0);
  }
  // As Run and Query, with arguments in a list (statements of many rows).
  virtual absl::Status Execute(std::string_view sql, std::span<const Argument> arguments) = 0;
  virtual std::unique_ptr<Rows> Open(std::string_view sql, std::span<const Argument> arguments) = 0;

  // Brings the tables of `part` ("directory") to the last of `steps` (migration.h); several
  // replicas may do so at once. kFailedPrecondition: a newer program made them and this one is too
  // old for them, or an applied step was edited.
  virtual absl::Status Migrate(std::string_view part, std::span<const Migration> steps) = 0;

  // Rows changed by the last Run. An UPDATE that finds its values there already may count or not.
  virtual int64_t changes() const = 0;
  // True when other processes write to this database too.
  virtual bool shared() const = 0;
  // An expression: the database's clock in milliseconds since 1970, for leases.
  virtual std::string_view clock_ms() const = 0;

 protected:
  friend class Transaction;
  friend absl::Status Transact(Connection&, const std::function<absl::Status()>&);
  enum class Access { kRead, kWrite };
  virtual absl::Status Begin(Access access) = 0;
  virtual absl::Status Commit() = 0;
  virtual void Rollback() = 0;
  // How many transactions this connection lost against others so far.
  virtual uint64_t conflicts() const = 0;
};

// Rolls back unless Commit() succeeded. Within one, all reads are of one moment; a kWrite one waits
// for other writers on SQLite and guards its rows by writing to them on MySQL: nothing is read and
// then written without a guarded UPDATE or a unique key.
class Transaction {
 public:
  using Kind = Connection::Access;
  static constexpr Kind kRead = Kind::kRead;
  static constexpr Kind kWrite = Kind::kWrite;
  static absl::StatusOr<Transaction> Begin(Connection& connection, Kind kind = kWrite) {
    RETURN_IF_ERROR(connection.Begin(kind));
    return Transaction(connection);
  }
  ~Transaction() {
    if (connection_ != nullptr) connection_->Rollback();
  }
  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  // Durable when it returns OK. After an error it is rolled back, but for kUnknown.
  [[nodiscard]] absl::Status Commit() {
    const absl::Status status = connection_->Commit();
    if (status.ok()) connection_ = nullptr;
    return status;
  }

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Runs `work` in a write transaction and commits it; the whole again, a few times, when it lost
// against another. `work` starts anew each time: it must not keep what a lost try left behind.
absl::Status Transact(Connection& connection, const std::function<absl::Status()>& work);

// Where connections come from.
class Database {
 public:
  virtual ~Database() = default;
  // Any thread.
  virtual absl::StatusOr<std::unique_ptr<Connection>> Connect() = 0;
  virtual bool shared() const = 0;
};

}  // namespace posthorn::store_service::sql
