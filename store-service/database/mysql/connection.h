#pragma once

// MySQL Connector/C++ as values: connections, kept statements, cursors, transactions. No other
// folder includes the driver's headers. A Connection and all that came from it belong to one thread
// at a time. Every call blocks, at most about `the time-outs in Options`. Error codes: error.h.
//
// A lost link: the call fails with kUnavailable (a COMMIT with kUnknown). The next transaction, or
// the next statement outside of one, connects anew, trying the hosts in order, and prepares its
// statements again. What runs outside of a transaction and begins with SELECT, and the beginning of
// a transaction, are repeated once by themselves.

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/status_macros.h"
#include "store-service/database/mysql/target.h"

namespace posthorn::mysql {

struct Options {
  Target target;
  std::string password;
  std::string ca_file;        // not empty: TLS, and the server's certificate must be of this CA
  int connect_timeout_s = 2;  // for each host
  // A server that is silent for so long is away. Longer than it lets a statement wait for a lock.
  int io_timeout_s = 8;
  // Galera: a transaction sees all that was committed on any node before it began. Costs a round
  // through the cluster.
  enum class Causality { kNone, kReads } causality = Causality::kReads;
  // kSnapshots: transactions of Kind::kSnapshot begin with one message less.
  enum class Use { kWrites, kSnapshots } use = Use::kWrites;
  // Texts may hold several statements (script.h). Only for who makes no text of what others sent.
  enum class Scripts { kNo, kYes } scripts = Scripts::kNo;
};

// Bytes, for a BLOB or VARBINARY; text goes the same way, so this only says what is meant.
struct Bytes {
  explicit Bytes(std::string_view b) : data(b) {}
  std::string_view data;
};

class Connection;

// A statement that runs at its first Next() and goes back to its connection when destroyed.
// Arguments are copied. All rows are fetched at the start: bound large results by LIMIT.
class Cursor {
 public:
  ~Cursor();
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&&) = delete;

  // 1-based.
  void Bind(int index, std::nullptr_t);
  void Bind(int index, std::string_view text);
  void Bind(int index, const char* text) { Bind(index, std::string_view(text)); }
  void Bind(int index, const std::string& text) { Bind(index, std::string_view(text)); }
  void Bind(int index, Bytes bytes) { Bind(index, bytes.data); }
  void Bind(int index, double value);
  template <std::integral T>
  void Bind(int index, T value) {
    if constexpr (std::is_signed_v<T>) {
      BindSigned(index, value);
    } else {
      BindUnsigned(index, value);
    }
  }
  template <class T>
  void Bind(int index, const std::optional<T>& value) {
    value ? Bind(index, *value) : Bind(index, nullptr);
  }

  // True: a row is there; false: done.
  absl::StatusOr<bool> Next();
  // 0-based. Null reads as 0 and as an empty text.
  int64_t Int(int column) const;
  // The bits of a signed column as they are.
  uint64_t Unsigned(int column) const;
  double Real(int column) const;
  // Valid until Text() of the same column is called again, or Next().
  std::string_view Text(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Connection;
  struct Running;
  Cursor(Connection& connection, std::string_view sql);
  void BindSigned(int index, int64_t value);
  void BindUnsigned(int index, uint64_t value);
  absl::Status Execute();

  Connection* connection_;
  std::unique_ptr<Running> running_;
};

class Connection {
 public:
  // Connects to the first host that answers and is ready (on Galera: wsrep_ready).
  static absl::StatusOr<std::unique_ptr<Connection>> Open(Options options);
  ~Connection();  // all cursors must be gone
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs SQL with the arguments bound to its question marks in order; statements are prepared once
  // for each link and kept by their text, so `sql` must be one of few constant texts. `Run` is for
  // statements without rows.
  template <class... Args>
  absl::Status Run(std::string_view sql, const Args&... args) {
    Cursor cursor = Query(sql, args...);
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    (void)row;
    return absl::OkStatus();
  }
  // Errors are told by the cursor's first Next().
  template <class... Args>
  Cursor Query(std::string_view sql, const Args&... args) {
    Cursor cursor(*this, sql);
    int index = 0;
    (cursor.Bind(++index, args), ...);
    return cursor;
  }
  // The single integer a query yields; kNotFound without a row.
  template <class... Args>
  absl::StatusOr<int64_t> Integer(std::string_view sql, const Args&... args) {
    Cursor cursor = Query(sql, args...);
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return absl::NotFoundError("no row");
    return cursor.Int(0);
  }
  // One statement without rows that is made once and not kept: DDL, many rows in one text.
  absl::Status Execute(std::string_view sql);

  // All values of all rows, row after row, of a query that is made once and not kept; none is
  // negative.
  absl::StatusOr<std::vector<uint64_t>> Numbers(std::string_view sql);

  // So many statements in one text; the values of the last one's only row, if it has one.
  absl::StatusOr<std::vector<int64_t>> RunScript(std::string_view text, int statements);

  // Rows the last statement matched (UPDATE: also those whose values were equal already) or
  // changed; INSERT … ON DUPLICATE KEY UPDATE counts 1 for a new row, 2 for a changed one.
  int64_t changes() const;

  // Connects anew when the link was lost; OK at once while nothing is known to be wrong.
  absl::Status Ready();
  // The host of the present link, or of the last one. Any thread.
  const Host& host() const;
  // Links made so far: another number, another server session.
  uint64_t links() const;
  bool is_galera() const;
  bool is_mariadb() const;
  // Settings of the server that would lose acknowledged mail, in words; empty: none.
  absl::StatusOr<std::vector<std::string>> DurabilityWarnings();
  // What the server is: "MariaDB 10.11.6 (Galera, 3 nodes)".
  absl::StatusOr<std::string> Engine();

 private:
  friend class Cursor;
  friend class Transaction;
  struct Link;
  explicit Connection(Options options);
  absl::Status Connect();
  absl::StatusOr<std::unique_ptr<Link>> ConnectTo(const Host& host);
  absl::Status Usable();
  absl::Status RunStatement(Cursor& cursor, std::string_view sql);
  // The first statement of a transaction is sent together with what begins it.
  void BeginLater();
  absl::Status BeginNow(std::string_view isolation, std::string_view how);
  absl::Status Commit();
  void Rollback();

  Options options_;
  std::unique_ptr<Link> link_;
  std::atomic<size_t> host_ = 0;
  uint64_t links_ = 0;
  int64_t changes_ = 0;
  bool in_transaction_ = false;
  bool begins_later_ = false;
};

// Makes the metrics of all connections, so that they are there, and 0, before the first one.
void MakeMetrics();

// Rolls back unless Commit() succeeded.
class Transaction {
 public:
  // kWrite: READ COMMITTED, so that a guarded update sees the newest row and locks no gaps.
  // kSnapshot: reads only, all of one moment.
  enum class Kind { kWrite, kSnapshot };
  static absl::StatusOr<Transaction> Begin(Connection& connection, Kind kind = Kind::kWrite);
  ~Transaction();
  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  // Durable when it returns OK. kUnknown: it may have happened; with any other error it did not.
  [[nodiscard]] absl::Status Commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace posthorn::mysql
