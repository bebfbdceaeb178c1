#include "store-service/objects/generic_table.h"

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

absl::StatusOr<std::string> Opened(const SecretBox& box, bool sealed, std::string_view data,
                                   std::string_view kind) {
  if (!sealed) return std::string(data);
  return box.Open(data, kind);
}

}  // namespace

absl::StatusOr<std::optional<ObjectRow>> GenericTable::Find(std::string_view name) {
  sql::Cursor row = db_->Query("SELECT revision,sealed,data FROM object WHERE kind=?1 AND name=?2",
                               kind_->name, name);
  ASSIGN_OR_RETURN(const bool found, row.Next());
  if (!found) return std::optional<ObjectRow>();
  ASSIGN_OR_RETURN(std::string data, Opened(*box_, row.Int(1) != 0, row.Text(2), kind_->name));
  return std::optional<ObjectRow>({std::string(name), row.Unsigned(0), 0, std::move(data)});
}

absl::Status GenericTable::ReleaseNames(const ObjectRow& row) {
  return db_->Run("DELETE FROM object WHERE kind=?1 AND name=?2", kind_->name, row.name);
}

absl::StatusOr<uint64_t> GenericTable::Put(const ObjectRow*, const NewRow& row) {
  std::string data = row.data;
  if (kind_->sealed) {
    ASSIGN_OR_RETURN(data, box_->Seal(row.data, kind_->name));
  }
  const absl::Status put = db_->Run(
      "INSERT INTO object(kind,name,revision,directory,sealed,data) VALUES(?1,?2,?3,?4,?5,?6)",
      kind_->name, row.name, row.revision, static_cast<int>(kind_->directory),
      static_cast<int>(kind_->sealed), sql::Bytes(data));
  if (put.code() == absl::StatusCode::kAlreadyExists) {
    return base::Exists(base::StrCat(kind_->name, " ", row.name, " exists"));
  }
  RETURN_IF_ERROR(put);
  return uint64_t{0};
}

absl::StatusOr<std::vector<ObjectRow>> GenericTable::List(const ListQuery& query) {
  sql::Cursor row = db_->Query(
      "SELECT name,revision,sealed,data FROM object WHERE kind=?1 AND name>?2 "
      "AND (?3='' OR substr(name,-length(?3))=?3) ORDER BY name LIMIT ?4",
      kind_->name, query.after, query.suffix, uint64_t{query.limit} + 1);
  std::vector<ObjectRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return rows;
    ASSIGN_OR_RETURN(std::string data, Opened(*box_, row.Int(2) != 0, row.Text(3), kind_->name));
    rows.push_back({std::string(row.Text(0)), row.Unsigned(1), 0, std::move(data)});
  }
}

absl::StatusOr<std::vector<SnapshotRow>> ListSnapshot(sql::Connection& db, const SecretBox& box,
                                                      std::string_view after_kind,
                                                      std::string_view after_name, uint32_t limit) {
  sql::Cursor row = db.Query(
      "SELECT kind,name,revision,sealed,data FROM object WHERE directory=0 AND (kind,name)>(?1,?2) "
      "ORDER BY kind,name LIMIT ?3",
      after_kind, after_name, uint64_t{limit} + 1);
  std::vector<SnapshotRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return rows;
    std::string kind(row.Text(0));
    ASSIGN_OR_RETURN(std::string data, Opened(box, row.Int(3) != 0, row.Text(4), kind));
    rows.push_back({kind, {std::string(row.Text(1)), row.Unsigned(2), 0, std::move(data)}});
  }
}

}  // namespace posthorn::store_service
