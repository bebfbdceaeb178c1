#include "store-service/database/mysql/migrate.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/crc32c.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/database/mysql/error.h"

namespace posthorn::mysql {
namespace {

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migration(part VARBINARY(64) NOT NULL, number INT NOT NULL,"
    " checksum INT UNSIGNED NOT NULL, time BIGINT NOT NULL, PRIMARY KEY(part, number))"
    " ENGINE=InnoDB";
// A table of its own: programs that do not know it write four columns to the other.
constexpr char kOldestTable[] =
    "CREATE TABLE IF NOT EXISTS schema_oldest(part VARBINARY(64) NOT NULL, number INT NOT NULL,"
    " oldest INT NOT NULL, PRIMARY KEY(part, number)) ENGINE=InnoDB";
// Steps that were applied or begun, each with the oldest program that works after it.
constexpr char kNewer[] =
    "SELECT n.number, coalesce(o.oldest, n.number) FROM"
    " (SELECT number FROM schema_migration WHERE part=? UNION"
    "  SELECT number FROM schema_oldest WHERE part=?) n"
    " LEFT JOIN schema_oldest o ON o.part=? AND o.number=n.number WHERE n.number>?";
// Named locks belong to the server, not to the database.
constexpr char kLock[] = "SELECT coalesce(GET_LOCK(CONCAT('posthorn.schema.', DATABASE()), 5),2)";
constexpr char kUnlock[] = "SELECT RELEASE_LOCK(CONCAT('posthorn.schema.', DATABASE()))";

constexpr int kTries = 10;
constexpr int kWaitsPerWarning = 12;
// Steps may copy tables.
constexpr int kStepTimeoutS = 3600;

absl::Status RunAll(Connection& connection, std::string_view sql) {
  while (!sql.empty()) {
    const size_t end = sql.find(";\n");
    const std::string_view statement = base::Trim(sql.substr(0, end));
    sql = end == std::string_view::npos ? std::string_view() : sql.substr(end + 2);
    if (!statement.empty()) RETURN_IF_ERROR(connection.Execute(statement));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Applied(Connection& connection, std::string_view part, const Step& step) {
  Cursor cursor = connection.Query(
      "SELECT checksum FROM schema_migration WHERE part=? AND number=?", part, step.number);
  ASSIGN_OR_RETURN(const bool row, cursor.Next());
  if (!row) return false;
  if (cursor.Unsigned(0) == base::Crc32c(step.sql)) return true;
  return base::Precondition(base::StrCat("schema step ", part, " ", step.number,
                                         " differs from the one that was applied"));
}

absl::Status CheckNewer(Connection& connection, std::string_view part, int known) {
  int64_t newest = 0, oldest = 0;
  Cursor cursor = connection.Query(kNewer, part, part, part, known);
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) break;
    newest = std::max(newest, cursor.Int(0));
    oldest = std::max(oldest, cursor.Int(1));
  }
  if (newest == 0) return absl::OkStatus();
  if (oldest > known) {
    return base::Precondition(base::StrCat(
        "schema ", part, " ", newest, " is of a newer program; this one knows ", known,
        ", and at least ", oldest, " must be known to work with it: start the newer release"));
  }
  observe::Warning("store.schema_newer",
                   {{"part", part},
                    {"schema", newest},
                    {"known", known},
                    {"oldest", oldest},
                    {"meaning", "the schema is of a newer release; this one works with it"}});
  return absl::OkStatus();
}

// Its row in schema_oldest comes first: an older program must not start while half of a step that
// it cannot live with is done.
absl::Status Apply(Connection& connection, std::string_view part, const Step& step) {
  RETURN_IF_ERROR(connection.Run("REPLACE INTO schema_oldest(part,number,oldest) VALUES(?,?,?)",
                                 part, step.number, step.oldest == 0 ? step.number : step.oldest));
  RETURN_IF_ERROR(RunAll(connection, step.sql));
  return connection.Run(
      "INSERT IGNORE INTO schema_migration(part,number,checksum,time) VALUES(?,?,?,?)", part,
      step.number, base::Crc32c(step.sql), base::WallSeconds());
}

absl::Status ApplyAll(Connection& connection, std::string_view part, std::span<const Step> steps) {
  RETURN_IF_ERROR(CheckNewer(connection, part, steps.empty() ? 0 : steps.back().number));
  for (const Step& step : steps) {
    ASSIGN_OR_RETURN(const bool applied, Applied(connection, part, step));
    if (applied) continue;
    RETURN_IF_ERROR(base::Annotate(Apply(connection, part, step),
                                   base::StrCat("schema step ", part, " ", step.number)));
  }
  return absl::OkStatus();
}

// Waits as long as another store is at work: a step may copy large tables. A server that knows no
// such locks (Galera may refuse) lets go on: the steps are run twice at worst.
void Lock(Connection& connection, std::string_view part) {
  for (int waits = 0;; ++waits) {
    const absl::StatusOr<int64_t> got = connection.Integer(kLock);
    if (!got.ok() || *got != 0) return;
    if (waits % kWaitsPerWarning != 0) continue;
    observe::Warning("store.schema_waiting",
                     {{"part", part}, {"reason", "another store changes the schema"}});
  }
}

absl::Status MigrateOnce(Connection& connection, std::string_view part,
                         std::span<const Step> steps) {
  RETURN_IF_ERROR(connection.Execute(kTable));
  RETURN_IF_ERROR(connection.Execute(kOldestTable));
  Lock(connection, part);
  absl::Status status = ApplyAll(connection, part, steps);
  (void)connection.Integer(kUnlock);
  return status;
}

}  // namespace

absl::Status Migrate(Connection& connection, std::string_view part, std::span<const Step> steps) {
  absl::Status status = MigrateOnce(connection, part, steps);
  // Another store at the same work, or a node that has not caught up with the cluster yet.
  for (int tries = 1; IsRetry(status) && tries < kTries; ++tries)
    status = MigrateOnce(connection, part, steps);
  return status;
}

absl::Status Migrate(Options options, std::string_view part, std::span<const Step> steps) {
  options.io_timeout_s = kStepTimeoutS;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(std::move(options)));
  return Migrate(*connection, part, steps);
}

}  // namespace posthorn::mysql
