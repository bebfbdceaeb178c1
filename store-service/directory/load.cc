#include "store-service/directory/load.h"

#include "store-service/directory/address_table.h"
#include "store-service/directory/domain_table.h"

namespace posthorn::store_service {
namespace {

// A row of each table, in this order of columns.
#define POSTHORN_DOMAIN_COLUMNS "SELECT id,name,data,revision,session_revision FROM domain"
#define POSTHORN_ACCOUNT_COLUMNS \
  "SELECT id,domain,local,data,revision,session_revision FROM account"
#define POSTHORN_ALIAS_COLUMNS "SELECT id,domain,local,data FROM alias"
#define POSTHORN_CHANGED                                                                     \
  " WHERE id IN (SELECT object FROM revision_change WHERE revision>?1 AND revision<=?2 AND " \
  "kind=?3)"

absl::Status ReadDomains(sql::Cursor row, DirectoryDelta& all) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    ASSIGN_OR_RETURN(DomainRecord record,
                     ToDomainRecord(row.Unsigned(0), row.Text(1), row.Text(2)));
    record.revision = row.Unsigned(3);
    record.session_revision = row.Unsigned(4);
    all.domains.push_back(std::move(record));
  }
}

absl::Status ReadAccounts(sql::Cursor row, DirectoryDelta& all) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    ASSIGN_OR_RETURN(AccountRecord record,
                     ToAccountRecord(row.Unsigned(0), row.Unsigned(1), row.Text(2), row.Text(3)));
    record.revision = row.Unsigned(4);
    record.session_revision = row.Unsigned(5);
    all.accounts.push_back(std::move(record));
  }
}

absl::Status ReadAliases(sql::Cursor row, DirectoryDelta& all) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    ASSIGN_OR_RETURN(AliasRecord record,
                     ToAliasRecord(row.Unsigned(0), row.Unsigned(1), row.Text(2), row.Text(3)));
    all.aliases.push_back(std::move(record));
  }
}

AccountRecord Removed(base::AccountId account, uint64_t revision) {
  AccountRecord record;
  record.id = account;
  record.deleting = true;
  record.revision = record.session_revision = revision;
  return record;
}

// Names, and what was removed: ids never come again.
absl::Status ReadNames(sql::Cursor row, uint64_t until, DirectoryChanges& changes) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    changes.names.emplace_back(row.Text(1));
    if (!row.IsNull(3)) continue;
    const uint64_t id = row.Unsigned(2);
    if (row.Text(0) == kAliasKind) changes.delta.removed_aliases.push_back(id);
    if (row.Text(0) == kDomainKind) changes.delta.removed_domains.push_back(id);
    if (row.Text(0) != kAccountKind) continue;
    changes.delta.accounts.push_back(Removed(id, until));
    if (row.IsNull(4)) changes.erased.push_back(id);
  }
}

}  // namespace

absl::StatusOr<std::vector<base::AccountId>> LoadDeleting(sql::Connection& db) {
  sql::Cursor row = db.Query("SELECT account FROM deleting");
  std::vector<base::AccountId> accounts;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return accounts;
    accounts.push_back(row.Unsigned(0));
  }
}

absl::StatusOr<DirectoryDelta> LoadDirectory(sql::Connection& db) {
  DirectoryDelta all;
  RETURN_IF_ERROR(ReadDomains(db.Query(POSTHORN_DOMAIN_COLUMNS), all));
  RETURN_IF_ERROR(ReadAccounts(db.Query(POSTHORN_ACCOUNT_COLUMNS), all));
  RETURN_IF_ERROR(ReadAliases(db.Query(POSTHORN_ALIAS_COLUMNS), all));
  ASSIGN_OR_RETURN(const std::vector<base::AccountId> deleting, LoadDeleting(db));
  for (const base::AccountId account : deleting) all.accounts.push_back(Removed(account, 0));
  return all;
}

absl::StatusOr<DirectoryChanges> LoadChanges(sql::Connection& db, uint64_t since, uint64_t until) {
  DirectoryChanges changes;
  RETURN_IF_ERROR(ReadNames(
      db.Query("SELECT c.kind,c.name,c.object,c.`after`,d.account FROM revision_change c LEFT JOIN "
               "deleting d ON d.account=c.object WHERE c.revision>?1 AND c.revision<=?2 AND "
               "c.object<>0 ORDER BY c.revision,c.position",
               since, until),
      until, changes));
  DirectoryDelta& delta = changes.delta;
  RETURN_IF_ERROR(ReadDomains(
      db.Query(POSTHORN_DOMAIN_COLUMNS POSTHORN_CHANGED, since, until, kDomainKind), delta));
  RETURN_IF_ERROR(ReadAccounts(
      db.Query(POSTHORN_ACCOUNT_COLUMNS POSTHORN_CHANGED, since, until, kAccountKind), delta));
  RETURN_IF_ERROR(ReadAliases(
      db.Query(POSTHORN_ALIAS_COLUMNS POSTHORN_CHANGED, since, until, kAliasKind), delta));
  return changes;
}

}  // namespace posthorn::store_service
