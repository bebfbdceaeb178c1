#include "store-service/database/mysql/migrate.h"

#include "lib/base/clock.h"
#include "lib/base/crc32c.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/error.h"

namespace posthorn::mysql {
namespace {

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migration(part VARBINARY(64) NOT NULL, number INT NOT NULL,"
    " checksum INT UNSIGNED NOT NULL, time BIGINT NOT NULL, PRIMARY KEY(part, number))"
    " ENGINE=InnoDB";
// Named locks belong to the server, not to the database.
constexpr char kLock[] = "SELECT GET_LOCK(CONCAT('posthorn.schema.', DATABASE()), 60)";
constexpr char kUnlock[] = "SELECT RELEASE_LOCK(CONCAT('posthorn.schema.', DATABASE()))";

constexpr int kTries = 10;

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

absl::Status Apply(Connection& connection, std::string_view part, std::span<const Step> steps) {
  ASSIGN_OR_RETURN(const int64_t newest,
                   connection.Integer(
                       "SELECT coalesce(max(number),0) FROM schema_migration WHERE part=?", part));
  const int known = steps.empty() ? 0 : steps.back().number;
  if (newest > known) {
    return base::Precondition(base::StrCat("schema ", part, " ", newest,
                                           " is of a newer program; this one knows ", known));
  }
  for (const Step& step : steps) {
    ASSIGN_OR_RETURN(const bool applied, Applied(connection, part, step));
    if (applied) continue;
    RETURN_IF_ERROR(base::Annotate(RunAll(connection, step.sql),
                                   base::StrCat("schema step ", part, " ", step.number)));
    RETURN_IF_ERROR(connection.Run("INSERT IGNORE INTO schema_migration VALUES(?,?,?,?)", part,
                                   step.number, base::Crc32c(step.sql), base::WallSeconds()));
  }
  return absl::OkStatus();
}

absl::Status MigrateOnce(Connection& connection, std::string_view part,
                         std::span<const Step> steps) {
  RETURN_IF_ERROR(connection.Execute(kTable));
  // Without it (Galera may refuse) the steps are run twice at worst.
  (void)connection.Integer(kLock);
  absl::Status status = Apply(connection, part, steps);
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

}  // namespace posthorn::mysql
