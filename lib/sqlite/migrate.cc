#include "lib/sqlite/migrate.h"

#include <algorithm>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/crc32c.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::sqlite {
namespace {

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS migration("
    "number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, applied INTEGER NOT NULL)";
// A table of its own: programs that do not know it write three columns to the other.
constexpr char kOldestTable[] =
    "CREATE TABLE IF NOT EXISTS migration_oldest("
    "number INTEGER PRIMARY KEY, oldest INTEGER NOT NULL)";

absl::StatusOr<bool> HasTable(Connection& connection, std::string_view name) {
  ASSIGN_OR_RETURN(const int64_t count,
                   connection.Integer(
                       "SELECT count(*) FROM sqlite_master WHERE type='table' AND name=?1", name));
  return count > 0;
}

// Reads only: what is refused stays as it is.
absl::Status CheckNewer(Connection& connection, int known) {
  ASSIGN_OR_RETURN(const bool any, HasTable(connection, "migration"));
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t newest,
                   connection.Integer("SELECT coalesce(max(number),0) FROM migration"));
  if (newest <= known) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool told, HasTable(connection, "migration_oldest"));
  ASSIGN_OR_RETURN(
      const int64_t oldest,
      connection.Integer(told ? "SELECT max(coalesce(o.oldest,m.number)) FROM migration m LEFT JOIN"
                                " migration_oldest o ON o.number=m.number WHERE m.number>?1"
                              : "SELECT max(number) FROM migration WHERE number>?1",
                         known));
  if (oldest > known) {
    return base::Precondition(base::StrCat(
        "schema ", newest, " is of a newer program; this one knows ", known, ", and at least ",
        oldest, " must be known to work with it: start the newer release again"));
  }
  observe::Warning("sqlite.schema_newer",
                   {{"schema", newest},
                    {"known", known},
                    {"oldest", oldest},
                    {"meaning", "the schema is of a newer release; this one works with it"}});
  return absl::OkStatus();
}

absl::StatusOr<bool> Applied(Connection& connection, const Migration& migration) {
  Cursor cursor =
      connection.Query("SELECT checksum FROM migration WHERE number=?1", migration.number);
  ASSIGN_OR_RETURN(const bool row, cursor.Next());
  if (!row) return false;
  if (cursor.Int(0) == base::Crc32c(migration.sql)) return true;
  return base::Precondition(
      base::StrCat("schema step ", migration.number, " differs from the one that was applied"));
}

absl::Status Apply(Connection& connection, const Migration& migration) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  // Another program may have been at it while this one waited.
  ASSIGN_OR_RETURN(const bool applied, Applied(connection, migration));
  if (applied) return absl::OkStatus();
  RETURN_IF_ERROR(connection.Script(std::string(migration.sql)));
  RETURN_IF_ERROR(connection.Run("INSERT INTO migration(number,checksum,applied) VALUES(?1,?2,?3)",
                                 migration.number, base::Crc32c(migration.sql),
                                 base::WallSeconds()));
  RETURN_IF_ERROR(connection.Run("INSERT INTO migration_oldest(number,oldest) VALUES(?1,?2)",
                                 migration.number,
                                 migration.oldest == 0 ? migration.number : migration.oldest));
  return transaction.Commit();
}

}  // namespace

absl::Status Migrate(Connection& connection, std::span<const Migration> migrations) {
  RETURN_IF_ERROR(CheckNewer(connection, migrations.empty() ? 0 : migrations.back().number));
  RETURN_IF_ERROR(connection.Script(kTable));
  RETURN_IF_ERROR(connection.Script(kOldestTable));
  for (const Migration& migration : migrations) {
    ASSIGN_OR_RETURN(const bool applied, Applied(connection, migration));
    if (applied) continue;
    RETURN_IF_ERROR(base::Annotate(Apply(connection, migration),
                                   base::StrCat("schema step ", migration.number)));
  }
  return absl::OkStatus();
}

}  // namespace posthorn::sqlite
