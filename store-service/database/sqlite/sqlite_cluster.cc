// Who is there and who owns what. Seldom asked, so statements are not kept by name.

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/sqlite/now.h"
#include "store-service/database/sqlite/snapshot_reader.h"
#include "store-service/database/sqlite/sqlite_writer.h"

namespace posthorn::store_service {
namespace {

constexpr int64_t kForgetMs = 86400000;

absl::Status ReadRows(sqlite::Connection& connection, ClusterRows& rows) {
  ASSIGN_OR_RETURN(rows.now_ms, connection.Integer("SELECT " POSTHORN_NOW));
  {
    sqlite::Cursor row = connection.Query(
        "SELECT name,address,version,state,seen,instance,started FROM replica"
        " ORDER BY name");
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, row.Next());
      if (!more) break;
      rows.replicas.push_back({std::string(row.Text(0)), std::string(row.Text(1)),
                               std::string(row.Text(2)), static_cast<ReplicaRow::State>(row.Int(3)),
                               row.Int(4), std::string(row.Text(5)), row.Int(6)});
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

absl::Status SayWord(sqlite::Connection& connection, const ReplicaRow& me) {
  const int state = static_cast<int>(me.state);
  RETURN_IF_ERROR(connection.Run(
      "INSERT INTO replica(name,address,version,state,seen,instance,started)"
      " VALUES(?1,?2,?3,?4," POSTHORN_NOW ",?5," POSTHORN_NOW
      ")"
      " ON CONFLICT(name) DO UPDATE SET address=?2,version=?3,state=?4,seen=" POSTHORN_NOW
      " WHERE instance=?5",
      me.name, me.address, me.version, state, me.instance));
  return connection.changes() > 0 ? absl::OkStatus()
                                  : base::Exists(base::StrCat("another process is ", me.name));
}

}  // namespace

absl::StatusOr<ClusterRows> SqliteWriter::Beat(const ReplicaRow& me) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(SayWord(*connection_, me));
  RETURN_IF_ERROR(
      connection_->Run("DELETE FROM replica WHERE seen<" POSTHORN_NOW "-?1", kForgetMs));
  ClusterRows rows;
  RETURN_IF_ERROR(ReadRows(*connection_, rows));
  RETURN_IF_ERROR(transaction.Commit());
  return rows;
}

absl::Status SqliteWriter::TakeName(const ReplicaRow& me, const ReplicaRow& last) {
  RETURN_IF_ERROR(connection_->Run(
      "UPDATE replica SET address=?1,version=?2,state=?3,seen=" POSTHORN_NOW
      ",started=" POSTHORN_NOW ",instance=?4 WHERE name=?5 AND instance=?6 AND seen=?7",
      me.address, me.version, static_cast<int>(me.state), me.instance, me.name, last.instance,
      last.seen_ms));
  return connection_->changes() > 0 ? absl::OkStatus() : base::Aborted("the name was used");
}

absl::Status SqliteWriter::Leave(const ReplicaRow& me) {
  return connection_->Run("DELETE FROM replica WHERE name=?1 AND instance=?2", me.name,
                          me.instance);
}

absl::StatusOr<ClusterRows> SnapshotReader::ReadCluster() {
  ClusterRows rows;
  RETURN_IF_ERROR(ReadRows(*connection_, rows));
  return rows;
}

}  // namespace posthorn::store_service
