#include "store-service/databases.h"

#include "lib/base/status_macros.h"
#include "store-service/database/measured_database.h"
#include "store-service/database/mysql/connection.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/move/mark.h"
#include "store-service/move/target.h"

namespace posthorn::store_service {

std::vector<std::string> DatabaseFlags() {
  return {"--database", "--database-password-file", "--database-ca", "--key-file"};
}

std::string OwnFlag(const process::Flags& flags, std::string_view name) {
  for (const auto& [flag, value] : flags.own) {
    if (flag == name) return value;
  }
  return "";
}

absl::StatusOr<Databases> OpenDatabases(const process::Flags& flags) {
  Databases open;
  mysql::MakeMetrics();  // of files too: panels show 0, not nothing
  const std::string url = OwnFlag(flags, "database");
  if (url.empty()) {
    RETURN_IF_ERROR(ExpectNotMoved(file::Real(), flags.data));
    ASSIGN_OR_RETURN(open.mail,
                     OpenSqliteDatabase({.path = flags.data + "/mail.db", .vfs = "posthorn-mail"}));
    auto tracked = std::make_unique<TrackedDatabase>(MeasureDatabase(std::move(open.mail)));
    open.tracked = tracked.get();
    open.mail = std::move(tracked);
    open.gate = std::make_shared<sql::WriteGate>();
    return open;
  }
  ASSIGN_OR_RETURN(const MysqlDatabaseOptions options,
                   MysqlOptionsFromFlags(url, OwnFlag(flags, "database-password-file"),
                                         OwnFlag(flags, "database-ca")));
  RETURN_IF_ERROR(ExpectNoUnfinishedMove(options.connection));
  ASSIGN_OR_RETURN(open.mail, OpenMysqlDatabase(options));
  open.mail = MeasureDatabase(std::move(open.mail));
  open.shared = sql::OpenMysql(options.connection);
  return open;
}

}  // namespace posthorn::store_service
