#include "lib/sqlite/connection.h"

#include <sqlite3.h>

#include <unordered_map>
#include <vector>

#include "lib/base/strings.h"
#include "lib/sqlite/error.h"

namespace posthorn::sqlite {
namespace {

int OpenFlags(const Options& options) {
  // One thread at a time uses a connection: SQLite's own mutexes would be waste.
  constexpr int kCommon = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  return kCommon |
         (options.mode == Options::Mode::kReadOnly ? SQLITE_OPEN_READONLY
                                                   : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

}  // namespace

namespace {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

}  // namespace

// Idle statements, by the text they were prepared from. One text has several only while cursors
// nest.
struct Connection::Kept {
  std::unordered_map<std::string, std::vector<Statement>, TextHash, std::equal_to<>> idle;
};

Connection::Connection(sqlite3* handle) : handle_(handle), kept_(std::make_unique<Kept>()) {}

Connection::~Connection() {
  kept_.reset();
  sqlite3_close_v2(handle_);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(Options options) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(options.path.c_str(), &handle, OpenFlags(options),
                                   options.vfs.empty() ? nullptr : options.vfs.c_str());
  std::unique_ptr<Connection> connection(new Connection(handle));
  if (code != SQLITE_OK) return ToStatus(handle, code, options.path);
  RETURN_IF_ERROR(base::Annotate(connection->Configure(options), options.path));
  return connection;
}

absl::Status Connection::Configure(const Options& options) {
  sqlite3_busy_timeout(handle_, options.busy_timeout_ms);
  std::string pragmas;
  if (options.page_size != 0) base::StrAppend(pragmas, "PRAGMA page_size=", options.page_size, ";");
  if (options.mode == Options::Mode::kReadWriteCreate) {
    base::StrAppend(pragmas, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;");
  }
  base::StrAppend(pragmas, "PRAGMA foreign_keys=ON;PRAGMA temp_store=MEMORY;PRAGMA cache_size=-",
                  options.cache_kib, ";PRAGMA wal_autocheckpoint=", options.auto_checkpoint, ";");
  return Script(pragmas);
}

absl::StatusOr<Statement> Connection::Prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return ToStatus(handle_, code, sql);
  return Statement(handle);
}

Cursor Connection::Start(std::string_view sql) {
  const auto found = kept_->idle.find(sql);
  if (found == kept_->idle.end() || found->second.empty()) return {*this, Prepare(sql)};
  Statement statement = std::move(found->second.back());
  found->second.pop_back();
  return {*this, std::move(statement)};
}

void Connection::GiveBack(Statement statement) {
  const std::string_view sql = sqlite3_sql(statement.handle());
  const auto found = kept_->idle.find(sql);
  std::vector<Statement>& idle =
      found != kept_->idle.end() ? found->second : kept_->idle[std::string(sql)];
  idle.push_back(std::move(statement));
}

absl::Status Connection::Script(const std::string& sql) {
  return ToStatus(handle_, sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr), "script");
}

int64_t Connection::changes() const { return sqlite3_changes64(handle_); }

absl::StatusOr<CheckpointResult> Connection::Checkpoint(Checkpointing how) {
  constexpr int kModes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
                            SQLITE_CHECKPOINT_TRUNCATE};
  CheckpointResult result;
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, kModes[static_cast<int>(how)],
                                             &result.frames, &result.done);
  RETURN_IF_ERROR(ToStatus(handle_, code, "checkpoint"));
  return result;
}

absl::StatusOr<Transaction> Transaction::Begin(Connection& connection, Kind kind) {
  RETURN_IF_ERROR(connection.Run(kind == Kind::kImmediate ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(connection);
}

Transaction::~Transaction() {
  // ROLLBACK fails only when SQLite has rolled back by itself already (disk full).
  if (connection_ != nullptr) (void)connection_->Run("ROLLBACK");
}

absl::Status Transaction::Commit() {
  const absl::Status status = connection_->Run("COMMIT");
  if (status.ok()) connection_ = nullptr;
  return status;
}

}  // namespace posthorn::sqlite
