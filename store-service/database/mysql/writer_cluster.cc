// Who is there and who owns what.

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/fenced_lanes.h"
#include "store-service/database/mysql/mysql_snapshot.h"
#include "store-service/database/mysql/mysql_writer.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;

constexpr int64_t kForgetMs = 86400000;
constexpr char kBeat[] =
    "UPDATE replica SET address=?, version=?, state=?, seen=? WHERE name=? AND instance=?";
constexpr char kFirstBeat[] =
    "INSERT IGNORE INTO replica(name, address, version, state, seen, instance, started)"
    " VALUES(?,?,?,?,?,?,?)";
constexpr char kTakeName[] =
    "UPDATE replica SET address=?, version=?, state=?, seen=" POSTHORN_MYSQL_NOW
    ", started=" POSTHORN_MYSQL_NOW ", instance=? WHERE name=? AND instance=? AND seen=?";

// Guarded, so that nothing is read first: no row of ours, and none can be made, is another's.
absl::Status SayWord(mysql::Connection& connection, const ReplicaRow& me, int64_t now) {
  const int state = static_cast<int>(me.state);
  RETURN_IF_ERROR(connection.Run(kBeat, me.address, me.version, state, now, me.name, me.instance));
  if (connection.changes() > 0) return absl::OkStatus();
  RETURN_IF_ERROR(
      connection.Run(kFirstBeat, me.name, me.address, me.version, state, now, me.instance, now));
  return connection.changes() > 0 ? absl::OkStatus()
                                  : base::Exists(base::StrCat("another process is ", me.name));
}

absl::Status ReadReplicas(mysql::Connection& connection, ClusterRows& rows) {
  Cursor row = connection.Query(
      "SELECT name,address,version,state,seen,instance,started FROM replica"
      " ORDER BY name");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    rows.replicas.push_back({std::string(row.Text(0)), std::string(row.Text(1)),
                             std::string(row.Text(2)), static_cast<ReplicaRow::State>(row.Int(3)),
                             row.Int(4), std::string(row.Text(5)), row.Int(6)});
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
    RETURN_IF_ERROR(SayWord(*connection_, me, rows.now_ms));
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

absl::Status MysqlWriter::TakeName(const ReplicaRow& me, const ReplicaRow& last) {
  return Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run(kTakeName, me.address, me.version, static_cast<int>(me.state),
                                     me.instance, me.name, last.instance, last.seen_ms));
    return connection_->changes() > 0 ? absl::OkStatus() : base::Aborted("the name was used");
  });
}

absl::Status MysqlWriter::Leave(const ReplicaRow& me) {
  return Transact(Repeat::kAfterUnknown, [&] {
    return connection_->Run("DELETE FROM replica WHERE name=? AND instance=?", me.name,
                            me.instance);
  });
}

}  // namespace posthorn::store_service
