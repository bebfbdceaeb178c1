#include "store-service/objects/credentials.h"

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

std::string OwnerText(uint64_t id, std::string_view name) {
  return id != 0 ? base::StrCat("#", id) : base::StrCat("=", name);
}

}  // namespace

CredentialOwner OwnerOf(std::string_view kind, uint64_t id, std::string_view name,
                        std::string_view field) {
  return {std::string(kind), OwnerText(id, name), std::string(field)};
}

absl::StatusOr<std::optional<Credential>> FindCredential(sql::Connection& db,
                                                         const CredentialOwner& owner) {
  sql::Cursor row =
      db.Query("SELECT hash,scram FROM credential WHERE kind=?1 AND owner=?2 AND field=?3",
               owner.kind, owner.owner, owner.field);
  ASSIGN_OR_RETURN(const bool found, row.Next());
  if (!found) return std::optional<Credential>();
  return std::optional<Credential>({std::string(row.Text(0)), std::string(row.Text(1))});
}

absl::Status PutCredential(sql::Connection& db, const CredentialOwner& owner,
                           const Credential& credential) {
  return db.Run("REPLACE INTO credential(kind,owner,field,hash,scram) VALUES(?1,?2,?3,?4,?5)",
                owner.kind, owner.owner, owner.field, credential.hash, credential.scram);
}

absl::Status RemoveCredentials(sql::Connection& db, std::string_view kind, const ObjectRow& row) {
  return db.Run("DELETE FROM credential WHERE kind=?1 AND owner=?2", kind,
                OwnerText(row.id, row.name));
}

absl::Status RenameCredentials(sql::Connection& db, std::string_view kind, const ObjectRow& old,
                               std::string_view new_name) {
  if (old.id != 0 || old.name == new_name) return absl::OkStatus();
  return db.Run("UPDATE credential SET owner=?3 WHERE kind=?1 AND owner=?2", kind,
                OwnerText(0, old.name), OwnerText(0, new_name));
}

absl::Status RefreshCredential(sql::Connection& db, const CredentialOwner& owner,
                               std::string_view seen, const Credential& fresh) {
  return db.Run(
      "UPDATE credential SET hash=?5,scram=?6 WHERE kind=?1 AND owner=?2 AND field=?3 AND hash=?4",
      owner.kind, owner.owner, owner.field, seen, fresh.hash, fresh.scram);
}

}  // namespace posthorn::store_service
