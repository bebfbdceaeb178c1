#include "store-service/objects/object_store.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "store-service/directory/address_table.h"
#include "store-service/directory/domain_table.h"
#include "store-service/directory/load.h"
#include "store-service/directory/schema.h"

namespace posthorn::store_service {

absl::StatusOr<std::unique_ptr<ObjectStore>> ObjectStore::Open(sql::Database& database,
                                                               const SecretBox& box, Kinds& kinds) {
  ASSIGN_OR_RETURN(std::unique_ptr<sql::Connection> db, database.Connect());
  RETURN_IF_ERROR(db->Migrate("directory", DirectorySchema()));
  return std::unique_ptr<ObjectStore>(new ObjectStore(std::move(db), box, kinds));
}

absl::StatusOr<Everything> ObjectStore::LoadAll() {
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(*db_, sql::Transaction::kRead));
  Everything all;
  ASSIGN_OR_RETURN(all.tip, ReadTip(*db_));
  ASSIGN_OR_RETURN(all.directory, LoadDirectory(*db_));
  return all;
}

absl::StatusOr<Followed> ObjectStore::Since(const Tip& seen) {
  Followed followed;
  // Most of the time nothing has happened: one row, no transaction.
  ASSIGN_OR_RETURN(followed.tip, ReadTip(*db_));
  if (followed.tip == seen) return followed;
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(*db_, sql::Transaction::kRead));
  ASSIGN_OR_RETURN(followed.tip, ReadTip(*db_));
  const absl::StatusOr<std::string> known =
      seen.revision == 0 ? std::string() : ReadCommitId(*db_, seen.revision);
  if (!known.ok() && !absl::IsNotFound(known.status())) return known.status();
  followed.other_history =
      followed.tip.revision < seen.revision || !known.ok() || *known != seen.commit_id;
  if (followed.other_history) {
    ASSIGN_OR_RETURN(followed.committed.delta, LoadDirectory(*db_));
    return followed;
  }
  ASSIGN_OR_RETURN(DirectoryChanges changes,
                   LoadChanges(*db_, seen.revision, followed.tip.revision));
  followed.committed = {.since = seen.revision,
                        .revision = followed.tip.revision,
                        .delta = std::move(changes.delta),
                        .names = std::move(changes.names)};
  followed.erased = std::move(changes.erased);
  return followed;
}

std::unique_ptr<KindTable> ObjectStore::MakeTable(std::shared_ptr<const KindSchema> kind,
                                                  DirectoryDelta& delta) {
  if (kind->name == kDomainKind) return std::make_unique<DomainTable>(*db_, delta);
  if (kind->name == kAccountKind) return std::make_unique<AccountTable>(*db_, delta);
  if (kind->name == kAliasKind) return std::make_unique<AliasTable>(*db_, delta);
  return std::make_unique<GenericTable>(*db_, *box_, std::move(kind));
}

absl::StatusOr<ObjectPage> ObjectStore::List(std::string_view kind, std::string_view name,
                                             const ListQuery& query) {
  // One snapshot for rows and revision.
  ASSIGN_OR_RETURN(const sql::Transaction snapshot,
                   sql::Transaction::Begin(*db_, sql::Transaction::kRead));
  if (kind.empty()) return ListAll(query);
  const std::shared_ptr<const KindSchema> schema = kinds_->Of(kind);
  DirectoryDelta unused;
  const std::unique_ptr<KindTable> table = MakeTable(schema, unused);
  std::vector<ObjectRow> rows;
  if (name.empty()) {
    ASSIGN_OR_RETURN(rows, table->List(query));
  } else {
    ASSIGN_OR_RETURN(std::optional<ObjectRow> row, table->Find(name));
    if (row) rows.push_back(*std::move(row));
  }
  ObjectPage page;
  page.more = rows.size() > query.limit;
  if (page.more) rows.resize(query.limit);
  for (ObjectRow& row : rows) {
    row.data = WithKey(*schema, row.name, row.data);
    page.items.push_back({schema->name, std::move(row)});
  }
  ASSIGN_OR_RETURN(page.revision, Head());
  return page;
}

absl::StatusOr<ObjectPage> ObjectStore::ListAll(const ListQuery& query) {
  // `after` is "kind name": the place of the last object, since names alone are no order over
  // several kinds.
  const size_t space = std::min(query.after.find(' '), query.after.size());
  const std::string kind = query.after.substr(0, space);
  const std::string name = space < query.after.size() ? query.after.substr(space + 1) : "";
  ASSIGN_OR_RETURN(std::vector<SnapshotRow> rows,
                   ListSnapshot(*db_, *box_, kind, name, query.limit));
  ObjectPage page;
  page.more = rows.size() > query.limit;
  if (page.more) rows.resize(query.limit);
  for (SnapshotRow& entry : rows) {
    const std::shared_ptr<const KindSchema> schema = kinds_->Of(entry.kind);
    entry.row.data = WithKey(*schema, entry.row.name, entry.row.data);
    page.items.push_back({std::move(entry.kind), std::move(entry.row)});
  }
  ASSIGN_OR_RETURN(page.revision, Head());
  return page;
}

}  // namespace posthorn::store_service
