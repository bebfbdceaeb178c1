#include "store-service/blob/registry/sql_segment_registry.h"

#include <algorithm>
#include <set>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/registry/schema.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kColumns =
    "SELECT number,writer,state,generation,reserved,sealed,doubtful,changed,version"
    " FROM blob_segment WHERE number>=?1 AND number<=?2 ORDER BY number";

SegmentRow RowAt(const sql::Cursor& cursor) {
  SegmentRow row;
  row.number = cursor.Unsigned(0);
  row.writer = cursor.Text(1);
  row.state = static_cast<SegmentState>(cursor.Int(2));
  row.generation = static_cast<uint32_t>(cursor.Unsigned(3));
  row.reserved = static_cast<uint32_t>(cursor.Unsigned(4));
  row.sealed = cursor.Unsigned(5);
  row.doubtful = cursor.Unsigned(6);
  row.changed_ms = cursor.Int(7);
  row.version = cursor.Unsigned(8);
  return row;
}

absl::Status Lost(uint64_t number) {
  return base::Aborted(base::StrCat("segment ", number, " was changed by somebody else"));
}

// kAborted is a lost row here; a transaction that lost too often is the database's trouble.
absl::Status Translate(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kAborted || status.code() == absl::StatusCode::kUnknown) {
    return base::Unavailable(base::Message(status));
  }
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentRegistry>> SqlSegmentRegistry::Open(
    std::shared_ptr<sql::Database> database) {
  ASSIGN_OR_RETURN(std::unique_ptr<sql::Connection> connection, database->Connect());
  RETURN_IF_ERROR(connection->Migrate("blobs", SegmentSchema()));
  return std::unique_ptr<SegmentRegistry>(
      new SqlSegmentRegistry(std::move(database), std::move(connection)));
}

absl::Status SqlSegmentRegistry::Insert(const SegmentRow& row) {
  return connection_->Run(
      "INSERT INTO blob_segment"
      " (number,writer,state,generation,reserved,sealed,doubtful,changed,version)"
      " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
      row.number, row.writer, static_cast<int>(row.state), row.generation, row.reserved, row.sealed,
      row.doubtful, row.changed_ms, row.version);
}

absl::StatusOr<SegmentRow> SqlSegmentRegistry::Take(const std::string& writer) {
  const std::lock_guard lock(mutex_);
  SegmentRow row;
  row.writer = writer;
  row.changed_ms = base::WallMillis();
  const absl::Status status = sql::Transact(*connection_, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run("UPDATE blob_registry SET next=next+1 WHERE id=1"));
    ASSIGN_OR_RETURN(const int64_t next,
                     connection_->Integer("SELECT next FROM blob_registry WHERE id=1"));
    row.number = static_cast<uint64_t>(next) - 1;
    return Insert(row);
  });
  // Should it have happened all the same, the number is burnt.
  RETURN_IF_ERROR(Translate(status));
  return row;
}

absl::StatusOr<SegmentRow> SqlSegmentRegistry::Read(uint64_t number) {
  sql::Cursor cursor = connection_->Query(kColumns, number, number);
  ASSIGN_OR_RETURN(const bool found, cursor.Next());
  if (!found) return base::NotFound("no such segment");
  return RowAt(cursor);
}

absl::StatusOr<SegmentRow> SqlSegmentRegistry::Find(uint64_t number) {
  if (number >> 62 != 0) return base::NotFound("no such segment");
  const std::lock_guard lock(mutex_);
  absl::StatusOr<SegmentRow> row = Read(number);
  if (!row.ok()) return Translate(row.status());
  return row;
}

absl::StatusOr<std::vector<SegmentRow>> SqlSegmentRegistry::List() {
  const std::lock_guard lock(mutex_);
  std::vector<SegmentRow> rows;
  sql::Cursor cursor = connection_->Query(kColumns, 0, INT64_MAX);
  for (;;) {
    const absl::StatusOr<bool> more = cursor.Next();
    RETURN_IF_ERROR(Translate(more.status()));
    if (!*more) return rows;
    rows.push_back(RowAt(cursor));
  }
}

absl::StatusOr<bool> SqlSegmentRegistry::Happened(const SegmentRow& wanted) {
  const absl::StatusOr<SegmentRow> row = Read(wanted.number);
  if (absl::IsNotFound(row.status())) return false;
  RETURN_IF_ERROR(Translate(row.status()));
  return *row == wanted;
}

absl::StatusOr<SegmentRow> SqlSegmentRegistry::Update(SegmentRow row) {
  const std::lock_guard lock(mutex_);
  const uint64_t before = row.version++;
  row.changed_ms = base::WallMillis();
  bool lost = false;
  const absl::Status status = sql::Transact(*connection_, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run(
        "UPDATE blob_segment SET state=?3,generation=?4,reserved=?5,sealed=?6,doubtful=?7,"
        "changed=?8,version=?9 WHERE number=?1 AND version=?2",
        row.number, before, static_cast<int>(row.state), row.generation, row.reserved, row.sealed,
        row.doubtful, row.changed_ms, row.version));
    lost = connection_->changes() == 0;
    return absl::OkStatus();
  });
  if (status.code() == absl::StatusCode::kUnknown) {
    ASSIGN_OR_RETURN(const bool happened, Happened(row));
    if (happened) return row;
  }
  RETURN_IF_ERROR(Translate(status));
  if (lost) return Lost(row.number);
  return row;
}

absl::Status SqlSegmentRegistry::Remove(const SegmentRow& row) {
  const std::lock_guard lock(mutex_);
  bool lost = false;
  const absl::Status status = sql::Transact(*connection_, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run("DELETE FROM blob_segment WHERE number=?1 AND version=?2",
                                     row.number, row.version));
    lost = connection_->changes() == 0;
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(Translate(status));
  return lost ? Lost(row.number) : absl::OkStatus();
}

absl::Status SqlSegmentRegistry::Import(const std::vector<SegmentRow>& rows, uint64_t next) {
  const std::lock_guard lock(mutex_);
  return Translate(sql::Transact(*connection_, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run("UPDATE blob_registry SET guard=guard+1 WHERE id=1"));
    std::set<uint64_t> known;
    {
      sql::Cursor cursor = connection_->Query(kColumns, 0, INT64_MAX);
      for (bool more = true; more;) {
        ASSIGN_OR_RETURN(more, cursor.Next());
        if (more) known.insert(cursor.Unsigned(0));
      }
    }
    for (const uint64_t number : known) {
      const auto same = [number](const SegmentRow& row) { return row.number == number; };
      if (number < next && std::none_of(rows.begin(), rows.end(), same)) {
        return base::Precondition(base::StrCat("segment ", number, " is another folder's"));
      }
    }
    for (const SegmentRow& row : rows) {
      if (!known.contains(row.number)) RETURN_IF_ERROR(Insert(row));
    }
    return connection_->Run("UPDATE blob_registry SET next=?1 WHERE id=1 AND next<?1", next);
  }));
}

absl::StatusOr<std::string> SqlSegmentRegistry::Identity(const std::string& proposed) {
  const std::lock_guard lock(mutex_);
  std::string identity;
  const absl::Status status = sql::Transact(*connection_, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run("UPDATE blob_registry SET guard=guard+1 WHERE id=1"));
    {
      sql::Cursor cursor = connection_->Query("SELECT identity FROM blob_registry WHERE id=1");
      ASSIGN_OR_RETURN(const bool found, cursor.Next());
      if (!found) return base::DataLoss("the registry of segments has no head");
      identity = cursor.Text(0);
    }
    if (!identity.empty() || proposed.empty()) return absl::OkStatus();
    identity = proposed;
    return connection_->Run("UPDATE blob_registry SET identity=?1 WHERE id=1", proposed);
  });
  RETURN_IF_ERROR(Translate(status));
  return identity;
}

}  // namespace posthorn::store_service
