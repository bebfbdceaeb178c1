#include "store-service/directory/address_table.h"

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/directory/domain_table.h"

namespace posthorn::store_service {

struct AddressSql {
  AddressType type;
  std::string_view counter;
  std::string_view find, release, put, session, remove, list_all, list_domain;
};

namespace {

// Statements are constant texts, so that the connection keeps them prepared; this macro writes them
// for both tables. The order of "local@" and then domain is the order of the whole names.
#define POSTHORN_ADDRESS_SQL(table)                                                            \
  .find =                                                                                      \
      "SELECT t.id,t.revision,t.data FROM domain d JOIN address a ON a.domain=d.id"            \
      " AND a.local=?2 AND a.type=?3 JOIN " table " t ON t.id=a.object WHERE d.name=?1",       \
  .release = "DELETE FROM address WHERE domain=(SELECT domain FROM " table                     \
             " WHERE id=?1)"                                                                   \
             " AND local=(SELECT local FROM " table " WHERE id=?1) AND type=?2 AND object=?1", \
  .put = "REPLACE INTO " table                                                                 \
         "(id,domain,local,revision,session_revision,data) VALUES(?1,?2,?3,?4,?5,?6)",         \
  .session = "SELECT session_revision FROM " table " WHERE id=?1",                             \
  .remove = "DELETE FROM " table " WHERE id=?1",                                               \
  .list_all = "SELECT t.id,t.local_at||d.name,t.revision,t.data FROM " table                   \
              " t JOIN domain d ON d.id=t.domain WHERE t.local_at>=?1"                         \
              " AND t.local_at||d.name>?2"                                                     \
              " AND (?3='' OR substr(t.local_at||d.name,-length(?3))=?3)"                      \
              " ORDER BY t.local_at,d.name LIMIT ?4",                                          \
  .list_domain = "SELECT t.id,t.local_at||d.name,t.revision,t.data FROM domain d JOIN " table  \
                 " t ON t.domain=d.id WHERE d.name=?1 AND t.local_at>?2"                       \
                 " ORDER BY t.local_at LIMIT ?3"

constexpr AddressSql kAccountSql{
    .type = AddressType::kAccount, .counter = "account", POSTHORN_ADDRESS_SQL("account")};
constexpr AddressSql kAliasSql{
    .type = AddressType::kAlias, .counter = "alias", POSTHORN_ADDRESS_SQL("alias")};

std::string_view LocalOf(std::string_view address) { return address.substr(0, address.rfind('@')); }
std::string_view DomainOf(std::string_view address) {
  return address.substr(address.rfind('@') + 1);
}

absl::Status CheckAddress(std::string_view name) {
  const size_t at = name.rfind('@');
  if (at != std::string_view::npos && at > 0 && at + 1 < name.size()) return absl::OkStatus();
  return base::Invalid(base::StrCat("not an address: ", name));
}

absl::StatusOr<std::vector<ObjectRow>> Collect(sql::Cursor row) {
  std::vector<ObjectRow> rows;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return rows;
    rows.push_back(
        {std::string(row.Text(1)), row.Unsigned(2), row.Unsigned(0), std::string(row.Text(3))});
  }
}

}  // namespace

absl::StatusOr<std::optional<ObjectRow>> AddressTable::Find(std::string_view name) {
  sql::Cursor row =
      db_->Query(sql_->find, DomainOf(name), LocalOf(name), static_cast<int>(sql_->type));
  ASSIGN_OR_RETURN(const bool found, row.Next());
  if (!found) return std::optional<ObjectRow>();
  return std::optional<ObjectRow>(
      {std::string(name), row.Unsigned(1), row.Unsigned(0), std::string(row.Text(2))});
}

absl::Status AddressTable::ReleaseNames(const ObjectRow& row) {
  return db_->Run(sql_->release, row.id, static_cast<int>(sql_->type));
}

absl::StatusOr<uint64_t> AddressTable::SessionRevision(const ObjectRow* old,
                                                       const NewRow& row) const {
  if (old == nullptr || row.new_password) return row.revision;
  ASSIGN_OR_RETURN(const bool ends, EndsSessions(old->data, row.data));
  if (ends) return row.revision;
  ASSIGN_OR_RETURN(const int64_t since, db_->Integer(sql_->session, old->id));
  return static_cast<uint64_t>(since);
}

absl::StatusOr<uint64_t> AddressTable::Put(const ObjectRow* old, const NewRow& row) {
  RETURN_IF_ERROR(CheckAddress(row.name));
  const std::string_view local = LocalOf(row.name);
  const auto domain =
      db_->Integer("SELECT domain FROM domain_name WHERE name=?1", DomainOf(row.name));
  if (!domain.ok()) return base::NotFound(base::StrCat("no domain for ", row.name));
  uint64_t id = old != nullptr ? old->id : 0;
  if (old == nullptr) {
    ASSIGN_OR_RETURN(id, NextId(*db_, sql_->counter));
  }
  const absl::Status taken =
      db_->Run("INSERT INTO address(domain,local,type,object) VALUES(?1,?2,?3,?4)", *domain, local,
               static_cast<int>(sql_->type), id);
  if (taken.code() == absl::StatusCode::kAlreadyExists) {
    return base::Exists(base::StrCat("the address ", row.name, " is taken"));
  }
  RETURN_IF_ERROR(taken);
  ASSIGN_OR_RETURN(const uint64_t session, SessionRevision(old, row));
  RETURN_IF_ERROR(
      db_->Run(sql_->put, id, *domain, local, row.revision, session, sql::Bytes(row.data)));
  RETURN_IF_ERROR(
      Wrote({id, static_cast<DomainId>(*domain), local, row.data, row.revision, session}));
  return id;
}

absl::Status AddressTable::Remove(const ObjectRow& row, uint64_t revision) {
  RETURN_IF_ERROR(db_->Run(sql_->remove, row.id));
  return Removed(row.id, revision);
}

absl::StatusOr<std::vector<ObjectRow>> AddressTable::List(const ListQuery& query) {
  const uint64_t limit = uint64_t{query.limit} + 1;
  const size_t at = query.after.rfind('@');
  // "local@" of the name to go on after; a text without "@" stands before all names that begin with
  // it.
  const std::string from = at == std::string::npos ? query.after : query.after.substr(0, at + 1);
  if (query.suffix.starts_with('@')) {
    return Collect(db_->Query(sql_->list_domain, query.suffix.substr(1), from, limit));
  }
  return Collect(db_->Query(sql_->list_all, from, query.after, query.suffix, limit));
}

AccountTable::AccountTable(sql::Connection& db, DirectoryDelta& delta)
    : AddressTable(db, delta, kAccountSql) {}

absl::StatusOr<AccountRecord> ToAccountRecord(uint64_t id, DomainId domain, std::string_view local,
                                              std::string_view data) {
  posthorn::config::v1::Account account;
  if (!account.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return base::DataLoss("an account does not parse");
  }
  AccountRecord record;
  record.id = id;
  record.domain = domain;
  record.local = std::string(local);
  record.enabled = !account.has_enabled() || account.enabled();
  record.quota = account.quota();
  return record;
}

absl::Status AccountTable::Wrote(const Written& row) {
  ASSIGN_OR_RETURN(AccountRecord record, ToAccountRecord(row.id, row.domain, row.local, row.data));
  record.revision = row.revision;
  record.session_revision = row.session_revision;
  delta_->accounts.push_back(std::move(record));
  return absl::OkStatus();
}

absl::Status AccountTable::Removed(uint64_t id, uint64_t revision) {
  AccountRecord record;
  record.id = id;
  record.deleting = true;
  record.revision = record.session_revision = revision;
  delta_->accounts.push_back(std::move(record));
  // Its mail goes later, and again after a crash, until this row is gone.
  return db_->Run("INSERT INTO deleting(account,since) VALUES(?1,?2)", id, base::WallSeconds());
}

absl::StatusOr<bool> AccountTable::EndsSessions(std::string_view before,
                                                std::string_view after) const {
  ASSIGN_OR_RETURN(const AccountRecord old, ToAccountRecord(0, 0, "", before));
  ASSIGN_OR_RETURN(const AccountRecord fresh, ToAccountRecord(0, 0, "", after));
  return old.enabled && !fresh.enabled;
}

AliasTable::AliasTable(sql::Connection& db, DirectoryDelta& delta)
    : AddressTable(db, delta, kAliasSql) {}

absl::StatusOr<AliasRecord> ToAliasRecord(uint64_t id, DomainId domain, std::string_view local,
                                          std::string_view data) {
  posthorn::config::v1::Alias alias;
  if (!alias.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return base::DataLoss("an alias does not parse");
  }
  AliasRecord record;
  record.id = id;
  record.domain = domain;
  record.local = std::string(local);
  record.enabled = !alias.has_enabled() || alias.enabled();
  record.targets.assign(alias.targets().begin(), alias.targets().end());
  return record;
}

absl::Status AliasTable::Wrote(const Written& row) {
  ASSIGN_OR_RETURN(AliasRecord record, ToAliasRecord(row.id, row.domain, row.local, row.data));
  delta_->aliases.push_back(std::move(record));
  return absl::OkStatus();
}

absl::Status AliasTable::Removed(uint64_t id, uint64_t) {
  delta_->removed_aliases.push_back(id);
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
