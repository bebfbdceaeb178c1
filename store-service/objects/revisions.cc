#include "store-service/objects/revisions.h"

#include <limits>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

absl::StatusOr<std::optional<std::string>> Sealed(const SecretBox& box, const KindSchema& kind,
                                                  const std::optional<std::string>& data) {
  if (!data || !kind.sealed) return data;
  ASSIGN_OR_RETURN(std::string sealed, box.Seal(*data, kind.name));
  return std::optional<std::string>(std::move(sealed));
}

absl::StatusOr<std::optional<std::string>> Column(const SecretBox& box, const sql::Cursor& row,
                                                  int column, std::string_view kind) {
  if (row.IsNull(column)) return std::optional<std::string>();
  if (row.Int(2) == 0) return std::optional<std::string>(row.Text(column));
  ASSIGN_OR_RETURN(std::string open, box.Open(row.Text(column), kind));
  return std::optional<std::string>(std::move(open));
}

std::optional<sql::Bytes> AsBytes(const std::optional<std::string>& data) {
  return data ? std::optional(sql::Bytes(*data)) : std::nullopt;
}

absl::Status ReadChanges(sql::Connection& db, const SecretBox& box, Revision& revision) {
  sql::Cursor row = db.Query(
      "SELECT kind,name,sealed,`before`,`after` FROM revision_change WHERE revision=?1 ORDER BY "
      "position",
      revision.revision);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    RevisionChange change{std::string(row.Text(0)), std::string(row.Text(1)), {}, {}, 0};
    ASSIGN_OR_RETURN(change.before, Column(box, row, 3, change.kind));
    ASSIGN_OR_RETURN(change.after, Column(box, row, 4, change.kind));
    revision.changes.push_back(std::move(change));
  }
}

}  // namespace

absl::StatusOr<uint64_t> ReadHead(sql::Connection& db) {
  ASSIGN_OR_RETURN(const int64_t head, db.Integer("SELECT revision FROM head"));
  return static_cast<uint64_t>(head);
}

absl::StatusOr<Tip> ReadTip(sql::Connection& db) {
  sql::Cursor row = db.Query(
      "SELECT h.revision,r.commit_id FROM head h LEFT JOIN revision r ON r.revision=h.revision");
  ASSIGN_OR_RETURN(const bool there, row.Next());
  if (!there) return base::DataLoss("the directory has no head");
  return Tip{row.Unsigned(0), std::string(row.Text(1))};
}

absl::StatusOr<std::string> ReadCommitId(sql::Connection& db, uint64_t revision) {
  sql::Cursor row = db.Query("SELECT commit_id FROM revision WHERE revision=?1", revision);
  ASSIGN_OR_RETURN(const bool there, row.Next());
  if (!there) return base::NotFound("no such revision");
  return std::string(row.Text(0));
}

absl::Status MovedOn() { return base::Aborted("the configuration has moved on"); }

absl::Status AdvanceHead(sql::Connection& db, uint64_t expected) {
  RETURN_IF_ERROR(db.Run("UPDATE head SET revision=revision+1 WHERE revision=?1", expected));
  return db.changes() == 1 ? absl::OkStatus() : MovedOn();
}

absl::Status WriteRevision(sql::Connection& db, const Revision& revision) {
  return db.Run(
      "INSERT INTO revision(revision,time_ms,author,reason,commit_id) VALUES(?1,?2,?3,?4,?5)",
      revision.revision, revision.time_ms, revision.author, revision.reason,
      sql::Bytes(revision.commit_id));
}

absl::Status WriteRevisionChange(sql::Connection& db, const SecretBox& box, uint64_t revision,
                                 int position, const KindSchema& kind,
                                 const RevisionChange& change) {
  ASSIGN_OR_RETURN(const std::optional<std::string> before, Sealed(box, kind, change.before));
  ASSIGN_OR_RETURN(const std::optional<std::string> after, Sealed(box, kind, change.after));
  return db.Run(
      "INSERT INTO revision_change(revision,position,kind,name,sealed,`before`,`after`,object) "
      "VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
      revision, position, change.kind, change.name, static_cast<int>(kind.sealed), AsBytes(before),
      AsBytes(after), change.object);
}

absl::StatusOr<std::vector<Revision>> ReadHistory(sql::Connection& db, const SecretBox& box,
                                                  const HistoryQuery& query) {
  constexpr uint64_t kAll = std::numeric_limits<int64_t>::max();
  const uint64_t first = query.revision != 0 ? query.revision : 0;
  const uint64_t last =
      query.revision != 0 ? query.revision : (query.before != 0 ? query.before - 1 : kAll);
  std::vector<Revision> revisions;
  {
    sql::Cursor row = db.Query(
        "SELECT revision,time_ms,author,reason FROM revision WHERE revision BETWEEN ?1 AND ?2 "
        "ORDER BY revision DESC LIMIT ?3",
        first, last, query.limit);
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, row.Next());
      if (!more) break;
      revisions.push_back({row.Unsigned(0),
                           row.Int(1),
                           std::string(row.Text(2)),
                           std::string(row.Text(3)),
                           {},
                           {}});
    }
  }
  for (Revision& revision : revisions) RETURN_IF_ERROR(ReadChanges(db, box, revision));
  return revisions;
}

}  // namespace posthorn::store_service
