// Who is there and who owns what.

#include "lib/base/status_macros.h"
#include "store-service/database/mysql/fenced_lanes.h"
#include "store-service/database/mysql/mysql_snapshot.h"
#include "store-service/database/mysql/mysql_writer.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;

constexpr int64_t kForgetMs = 86400000;
constexpr char kBeat[] =
    "INSERT INTO replica(name, address, version, state, seen) VALUES(?,?,?,?,?)"
    " ON DUPLICATE KEY UPDATE address=VALUES(address), version=VALUES(version),"
    " state=VALUES(state), seen=VALUES(seen)";

absl::Status ReadReplicas(mysql::Connection& connection, ClusterRows& rows) {
  Cursor row =
      connection.Query("SELECT name,address,version,state,seen FROM replica ORDER BY name");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    rows.replicas.push_back({std::string(row.Text(0)), std::string(row.Text(1)),
                             std::string(row.Text(2)), static_cast<ReplicaRow::State>(row.Int(3)),
                             row.Int(4)});
  }
}

// One by one: a DELETE that looks at all rows waits for the beats of the others, and they for it.
absl::Status ForgetSilent(mysql::Connection& connection, ClusterRows& rows) {
  const int64_t before = rows.now_ms - kForgetMs;
  for (const ReplicaRow& row : rows.replicas) {
    if (row.seen_ms >= before) continue;
    RETURN_IF_ERROR(
        connection.Run("DELETE FROM replica WHERE name=? AND seen<?", row.name, before));
  }
  std::erase_if(rows.replicas, [&](const ReplicaRow& row) { return row.seen_ms < before; });
  return absl::OkStatus();
}

absl::Status ReadLanes(mysql::Connection& connection, ClusterRows& rows) {
  Cursor row = connection.Query("SELECT lane,owner,epoch,batch,expires FROM lane ORDER BY lane");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    rows.lanes.push_back({static_cast<uint32_t>(row.Int(0)), std::string(row.Text(1)),
                          row.Unsigned(2), row.Unsigned(3), row.Int(4)});
  }
}

}  // namespace

absl::StatusOr<ClusterRows> MysqlWriter::Beat(const ReplicaRow& me) {
  ClusterRows rows;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    rows = {};
    ASSIGN_OR_RETURN(rows.now_ms, connection_->Integer("SELECT " POSTHORN_MYSQL_NOW));
    RETURN_IF_ERROR(connection_->Run(kBeat, me.name, me.address, me.version,
                                     static_cast<int>(me.state), rows.now_ms));
    RETURN_IF_ERROR(ReadReplicas(*connection_, rows));
    RETURN_IF_ERROR(ForgetSilent(*connection_, rows));
    return ReadLanes(*connection_, rows);
  }));
  return rows;
}

absl::StatusOr<ClusterRows> MysqlSnapshot::ReadCluster() {
  ClusterRows rows;
  ASSIGN_OR_RETURN(rows.now_ms, connection_->Integer("SELECT " POSTHORN_MYSQL_NOW));
  RETURN_IF_ERROR(ReadReplicas(*connection_, rows));
  RETURN_IF_ERROR(ReadLanes(*connection_, rows));
  return rows;
}

absl::Status MysqlWriter::Leave(std::string_view name) {
  return Transact(Repeat::kAfterUnknown,
                  [&] { return connection_->Run("DELETE FROM replica WHERE name=?", name); });
}

}  // namespace posthorn::store_service
