#include "lib/sqlite/migrate.h"

#include <string>

#include "lib/base/clock.h"
#include "lib/base/crc32c.h"
#include "lib/base/strings.h"

namespace posthorn::sqlite {
namespace {

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS migration("
    "number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, applied INTEGER NOT NULL)";

absl::Status Apply(Connection& connection, const Migration& migration) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  RETURN_IF_ERROR(connection.Script(std::string(migration.sql)));
  RETURN_IF_ERROR(connection.Run("INSERT INTO migration VALUES(?1,?2,?3)", migration.number,
                                 base::Crc32c(migration.sql), base::WallSeconds()));
  return transaction.Commit();
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

}  // namespace

absl::Status Migrate(Connection& connection, std::span<const Migration> migrations) {
  RETURN_IF_ERROR(connection.Script(kTable));
  ASSIGN_OR_RETURN(const int64_t newest,
                   connection.Integer("SELECT coalesce(max(number),0) FROM migration"));
  const int known = migrations.empty() ? 0 : migrations.back().number;
  if (newest > known) {
    return base::Precondition(
        base::StrCat("schema ", newest, " is of a newer program; this one knows ", known));
  }
  for (const Migration& migration : migrations) {
    ASSIGN_OR_RETURN(const bool applied, Applied(connection, migration));
    if (applied) continue;
    RETURN_IF_ERROR(base::Annotate(Apply(connection, migration),
                                   base::StrCat("schema step ", migration.number)));
  }
  return absl::OkStatus();
}

}  // namespace posthorn::sqlite
