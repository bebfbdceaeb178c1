#include "store-service/directory/load.h"

#include "store-service/directory/address_table.h"
#include "store-service/directory/domain_table.h"

namespace posthorn::store_service {
namespace {

absl::Status LoadDomains(sql::Connection& db, DirectoryDelta& all) {
  sql::Cursor row = db.Query("SELECT id,name,data,revision,session_revision FROM domain");
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

absl::Status LoadAccounts(sql::Connection& db, DirectoryDelta& all) {
  sql::Cursor row = db.Query("SELECT id,domain,local,data,revision,session_revision FROM account");
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

absl::Status LoadAliases(sql::Connection& db, DirectoryDelta& all) {
  sql::Cursor row = db.Query("SELECT id,domain,local,data FROM alias");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    ASSIGN_OR_RETURN(AliasRecord record,
                     ToAliasRecord(row.Unsigned(0), row.Unsigned(1), row.Text(2), row.Text(3)));
    all.aliases.push_back(std::move(record));
  }
}

absl::Status LoadDeleting(sql::Connection& db, DirectoryDelta& all) {
  sql::Cursor row = db.Query("SELECT account FROM deleting");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    AccountRecord record;
    record.id = row.Unsigned(0);
    record.deleting = true;
    all.accounts.push_back(std::move(record));
  }
}

}  // namespace

absl::StatusOr<DirectoryDelta> LoadDirectory(sql::Connection& db) {
  DirectoryDelta all;
  RETURN_IF_ERROR(LoadDomains(db, all));
  RETURN_IF_ERROR(LoadAccounts(db, all));
  RETURN_IF_ERROR(LoadAliases(db, all));
  RETURN_IF_ERROR(LoadDeleting(db, all));
  return all;
}

}  // namespace posthorn::store_service
