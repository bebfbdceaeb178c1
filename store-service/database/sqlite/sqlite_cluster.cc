// Who is there and who owns what. Seldom asked, so statements are not kept by name.

#include "lib/base/status_macros.h"
#include "store-service/database/sqlite/now.h"
#include "store-service/database/sqlite/snapshot_reader.h"
#include "store-service/database/sqlite/sqlite_writer.h"

namespace posthorn::store_service {
namespace {

constexpr int64_t kForgetMs = 86400000;

absl::Status ReadRows(sqlite::Connection& connection, ClusterRows& rows) {
  ASSIGN_OR_RETURN(rows.now_ms, connection.Integer("SELECT " POSTHORN_NOW));
  {
    sqlite::Cursor row =
        connection.Query("SELECT name,address,version,state,seen FROM replica ORDER BY name");
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, row.Next());
      if (!more) break;
      rows.replicas.push_back({std::string(row.Text(0)), std::string(row.Text(1)),
                               std::string(row.Text(2)), static_cast<ReplicaRow::State>(row.Int(3)),
                               row.Int(4)});
    }
  }
  sqlite::Cursor row =
      connection.Query("SELECT lane,owner,epoch,batch,expires FROM lane ORDER BY lane");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    rows.lanes.push_back({static_cast<uint32_t>(row.Int(0)), std::string(row.Text(1)),
                          row.Unsigned(2), row.Unsigned(3), row.Int(4)});
  }
}

}  // namespace

absl::StatusOr<ClusterRows> SqliteWriter::Beat(const ReplicaRow& me) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(
      connection_->Run("INSERT OR REPLACE INTO replica(name,address,version,state,seen)"
                       " VALUES(?1,?2,?3,?4," POSTHORN_NOW ")",
                       me.name, me.address, me.version, static_cast<int>(me.state)));
  RETURN_IF_ERROR(
      connection_->Run("DELETE FROM replica WHERE seen<" POSTHORN_NOW "-?1", kForgetMs));
  ClusterRows rows;
  RETURN_IF_ERROR(ReadRows(*connection_, rows));
  RETURN_IF_ERROR(transaction.Commit());
  return rows;
}

absl::Status SqliteWriter::Leave(std::string_view name) {
  return connection_->Run("DELETE FROM replica WHERE name=?1", name);
}

absl::StatusOr<ClusterRows> SnapshotReader::ReadCluster() {
  ClusterRows rows;
  RETURN_IF_ERROR(ReadRows(*connection_, rows));
  return rows;
}

}  // namespace posthorn::store_service
