#include "store-service/directory/domain_table.h"

#include "lib/base/strings.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::store_service {
namespace {

absl::StatusOr<bool> WasEnabled(const ObjectRow* old) {
  if (old == nullptr) return false;
  ASSIGN_OR_RETURN(const DomainRecord record, ToDomainRecord(old->id, old->name, old->data));
  return record.enabled;
}

}  // namespace

absl::StatusOr<uint64_t> NextId(sql::Connection& db, std::string_view counter) {
  RETURN_IF_ERROR(db.Run("UPDATE counter SET value=value+1 WHERE name=?1", counter));
  ASSIGN_OR_RETURN(const int64_t id,
                   db.Integer("SELECT value FROM counter WHERE name=?1", counter));
  return static_cast<uint64_t>(id);
}

absl::StatusOr<DomainRecord> ToDomainRecord(DomainId id, std::string_view name,
                                            std::string_view data) {
  posthorn::config::v1::Domain domain;
  if (!domain.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return base::DataLoss("a domain does not parse");
  }
  DomainRecord record;
  record.id = id;
  record.name = std::string(name);
  record.alias_names.assign(domain.alias_names().begin(), domain.alias_names().end());
  record.enabled = !domain.has_enabled() || domain.enabled();
  record.catch_all = domain.catch_all();
  record.plus_character = domain.has_plus_character() ? domain.plus_character() : "+";
  return record;
}

absl::StatusOr<std::optional<ObjectRow>> DomainTable::Find(std::string_view name) {
  sql::Cursor row = db_->Query("SELECT id,name,revision,data FROM domain WHERE name=?1", name);
  ASSIGN_OR_RETURN(const bool found, row.Next());
  if (!found) return std::optional<ObjectRow>();
  return std::optional<ObjectRow>(
      {std::string(row.Text(1)), row.Unsigned(2), row.Unsigned(0), std::string(row.Text(3))});
}

absl::Status DomainTable::ReleaseNames(const ObjectRow& row) {
  RETURN_IF_ERROR(db_->Run("DELETE FROM domain_name WHERE domain=?1", row.id));
  // A name that cannot be one keeps the column unique until Put or Remove.
  return db_->Run("UPDATE domain SET name='/'||id WHERE id=?1", row.id);
}

absl::StatusOr<uint64_t> DomainTable::Put(const ObjectRow* old, const NewRow& row) {
  uint64_t id = old != nullptr ? old->id : 0;
  if (old == nullptr) {
    ASSIGN_OR_RETURN(id, NextId(*db_, "domain"));
  }
  ASSIGN_OR_RETURN(DomainRecord record, ToDomainRecord(id, row.name, row.data));
  ASSIGN_OR_RETURN(const bool was_enabled, WasEnabled(old));
  std::vector<std::string> names = record.alias_names;
  names.push_back(row.name);
  for (const std::string& name : names) {
    const absl::Status taken =
        db_->Run("INSERT INTO domain_name(name,domain) VALUES(?1,?2)", name, id);
    if (taken.code() == absl::StatusCode::kAlreadyExists) {
      return base::Exists(base::StrCat("the domain name ", name, " is taken"));
    }
    RETURN_IF_ERROR(taken);
  }
  record.revision = row.revision;
  record.session_revision = row.revision;
  if (old != nullptr && !(was_enabled && !record.enabled)) {
    ASSIGN_OR_RETURN(const int64_t since,
                     db_->Integer("SELECT session_revision FROM domain WHERE id=?1", id));
    record.session_revision = static_cast<uint64_t>(since);
  }
  RETURN_IF_ERROR(
      db_->Run("REPLACE INTO domain(id,name,revision,session_revision,data) VALUES(?1,?2,?3,?4,?5)",
               id, row.name, row.revision, record.session_revision, sql::Bytes(row.data)));
  delta_->domains.push_back(std::move(record));
  return id;
}

absl::Status DomainTable::Remove(const ObjectRow& row, uint64_t) {
  delta_->removed_domains.push_back(row.id);
  return db_->Run("DELETE FROM domain WHERE id=?1", row.id);
}

absl::Status DomainTable::CheckRemoved(const ObjectRow& row) {
  ASSIGN_OR_RETURN(
      const int64_t used,
      db_->Integer("SELECT count(*) FROM (SELECT 1 FROM address WHERE domain=?1 LIMIT 1) AS used",
                   row.id));
  if (used == 0) return absl::OkStatus();
  return base::Precondition(
      base::StrCat("the domain ", row.name, " still has accounts or aliases"));
}

absl::StatusOr<std::vector<ObjectRow>> DomainTable::List(const ListQuery& query) {
  sql::Cursor row = db_->Query(
      "SELECT id,name,revision,data FROM domain WHERE name>?1 AND (?2='' OR "
      "substr(name,-length(?2))=?2) "
      "ORDER BY name LIMIT ?3",
      query.after, query.suffix, uint64_t{query.limit} + 1);
  std::vector<ObjectRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return rows;
    rows.push_back(
        {std::string(row.Text(1)), row.Unsigned(2), row.Unsigned(0), std::string(row.Text(3))});
  }
}

}  // namespace posthorn::store_service
