#pragma once

// SQLite's C API as values: connections, kept statements, cursors, transactions. A Connection and
// all that came from it belong to one thread at a time. Every call blocks. Error codes, everywhere
// in this folder:
//   kResourceExhausted  disk full (SQLITE_FULL, or ENOSPC/EDQUOT below SQLITE_IOERR)
//   kUnavailable        busy for longer than the busy timeout, or locked
//   kAlreadyExists      a UNIQUE or PRIMARY KEY constraint
//   kFailedPrecondition any other constraint
//   kDataLoss           a damaged file, or one that is no database
//   kInternal           the rest, wrong SQL too

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/status_macros.h"
#include "lib/sqlite/statement.h"

struct sqlite3;

namespace posthorn::sqlite {

struct Options {
  std::string path;  // ":memory:" for tests
  std::string vfs;   // empty: SQLite's own
  enum class Mode { kReadWriteCreate, kReadOnly } mode = Mode::kReadWriteCreate;
  int busy_timeout_ms = 5000;
  // Pages of this many bytes for a new file; 0: SQLite's own choice.
  int page_size = 0;
  // Page cache in KiB.
  int cache_kib = 8192;
  // Frames after which a commit checkpoints by itself; 0: never (the caller calls Checkpoint).
  int auto_checkpoint = 1000;
};

// What a checkpoint left: `frames` in the log, `done` of them in the database file.
struct CheckpointResult {
  int frames = 0;
  int done = 0;
};

class Connection {
 public:
  // Opens in WAL mode with synchronous=FULL and foreign keys on. With a new file its directory is
  // fsynced by SQLite.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(Options options);
  ~Connection();  // all cursors and statements must be gone
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A statement of the caller's own, for the hottest paths.
  absl::StatusOr<Statement> Prepare(std::string_view sql);

  // Runs SQL with the arguments bound to ?1, ?2 …; statements are prepared once and kept by their
  // text, so `sql` must be one of few constant texts. `Run` is for statements without rows.
  template <class... Args>
  absl::Status Run(std::string_view sql, const Args&... args) {
    Cursor cursor = Query(sql, args...);
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    (void)row;
    return absl::OkStatus();
  }
  // A prepare error is told by the cursor's first Next().
  template <class... Args>
  Cursor Query(std::string_view sql, const Args&... args) {
    Cursor cursor = Start(sql);
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
  // Several statements without arguments (schema, pragmas).
  absl::Status Script(const std::string& sql);

  // Rows changed by the last statement.
  int64_t changes() const;

  enum class Checkpointing { kPassive, kFull, kTruncate };
  absl::StatusOr<CheckpointResult> Checkpoint(Checkpointing how);

  sqlite3* handle() { return handle_; }

 private:
  friend class Cursor;
  explicit Connection(sqlite3* handle);
  Cursor Start(std::string_view sql);
  void GiveBack(Statement statement);
  absl::Status Configure(const Options& options);

  sqlite3* handle_;
  struct Kept;
  std::unique_ptr<Kept> kept_;
};

// Rolls back unless Commit() succeeded. BEGIN IMMEDIATE: a writer waits at the start, never in the
// middle.
class Transaction {
 public:
  enum class Kind { kImmediate, kRead };
  static absl::StatusOr<Transaction> Begin(Connection& connection, Kind kind = Kind::kImmediate);
  ~Transaction();
  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  // Durable when it returns OK. After an error the transaction is rolled back.
  [[nodiscard]] absl::Status Commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace posthorn::sqlite
