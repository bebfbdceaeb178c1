#include "store-service/database/sqlite/sqlite_database.h"

#include <sqlite3.h>

#include <mutex>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/forwarding_database.h"
#include "store-service/database/sqlite/checkpointer.h"
#include "store-service/database/sqlite/mail_schema.h"
#include "store-service/database/sqlite/snapshot_reader.h"
#include "store-service/database/sqlite/sqlite_writer.h"

namespace posthorn::store_service {
namespace {

sqlite::Options ConnectionOptions(const SqliteDatabaseOptions& options, int cache_kib) {
  sqlite::Options o;
  o.path = options.path;
  o.vfs = options.vfs;
  o.busy_timeout_ms = 10000;
  o.cache_kib = cache_kib;
  o.auto_checkpoint = 0;
  return o;
}

// Idle connections for snapshots; shared with the snapshots, which may outlive a burst.
class Readers {
 public:
  Readers(sqlite::Options options, size_t keep) : options_(std::move(options)), keep_(keep) {}
  absl::StatusOr<std::unique_ptr<sqlite::Connection>> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    return sqlite::Connection::Open(options_);
  }
  void GiveBack(std::unique_ptr<sqlite::Connection> connection) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < keep_) idle_.push_back(std::move(connection));
  }

 private:
  const sqlite::Options options_;
  const size_t keep_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<sqlite::Connection>> idle_;
};

int OnLogGrown(void* frames, sqlite3*, const char*, int count) {
  *static_cast<int*>(frames) = count;
  return SQLITE_OK;
}

class SqliteDatabase final : public ForwardingDatabase<SqliteWriter> {
 public:
  SqliteDatabase(std::unique_ptr<SqliteWriter> writer, std::unique_ptr<sqlite::Connection> copier,
                 sqlite::Options readers, const SqliteDatabaseOptions& options)
      : ForwardingDatabase(*writer),
        path_(options.path),
        writer_(std::move(writer)),
        readers_(std::make_shared<Readers>(std::move(readers),
                                           static_cast<size_t>(options.max_readers))),
        checkpointer_(std::move(copier), options.checkpoint_frames) {
    sqlite3_wal_hook(writer_->connection().handle(), &OnLogGrown, &log_frames_);
  }

  absl::Status Commit(const Fence& fence, const WriteBatch& batch) override {
    absl::Status status = ForwardingDatabase::Commit(fence, batch);
    checkpointer_.BetweenTransactions(writer_->connection(), log_frames_);
    return status;
  }
  absl::StatusOr<bool> PurgeDropped(const Fence& fence, uint32_t limit) override {
    absl::StatusOr<bool> more = ForwardingDatabase::PurgeDropped(fence, limit);
    checkpointer_.BetweenTransactions(writer_->connection(), log_frames_);
    return more;
  }
  absl::StatusOr<bool> EraseAccount(const Fence& fence, AccountId account, int64_t now_ms,
                                    uint32_t limit) override {
    absl::StatusOr<bool> more = ForwardingDatabase::EraseAccount(fence, account, now_ms, limit);
    checkpointer_.BetweenTransactions(writer_->connection(), log_frames_);
    return more;
  }
  absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() override {
    ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Connection> connection, readers_->Take());
    return SnapshotReader::Begin(std::move(connection),
                                 [readers = readers_](std::unique_ptr<sqlite::Connection> back) {
                                   readers->GiveBack(std::move(back));
                                 });
  }

  std::vector<std::string> Warnings() override { return {}; }
  DatabaseServer Server() override {
    return {.engine = base::StrCat("SQLite ", sqlite3_libversion()), .place = path_, .node = ""};
  }

 private:
  const std::string path_;
  int log_frames_ = 0;
  std::unique_ptr<SqliteWriter> writer_;
  std::shared_ptr<Readers> readers_;
  Checkpointer checkpointer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenSqliteDatabase(const SqliteDatabaseOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Connection> main,
                   sqlite::Connection::Open(ConnectionOptions(options, options.cache_kib)));
  RETURN_IF_ERROR(sqlite::Migrate(*main, MailMigrations()));
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteWriter> writer, SqliteWriter::Create(std::move(main)));
  ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Connection> copier,
                   sqlite::Connection::Open(ConnectionOptions(options, 64)));
  // Writable, because SQLite cannot open a log for reading alone after a crash; nothing is written.
  sqlite::Options readers = ConnectionOptions(options, 16384);
  return std::unique_ptr<Database>(std::make_unique<SqliteDatabase>(
      std::move(writer), std::move(copier), std::move(readers), options));
}

}  // namespace posthorn::store_service
