#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store-service/database/sql/connection.h"
#include "store-service/objects/kind_table.h"

namespace posthorn::store_service {

// What is kept of a write_only value. Never leaves the store.
struct Credential {
  std::string hash;   // lib/auth/password_hash.h
  std::string scram;  // lib/auth/scram.h; empty: not made yet
};

// Who a credential belongs to: an id that survives renames where there is one, else the name.
struct CredentialOwner {
  std::string kind;
  std::string owner;
  std::string field;
};
CredentialOwner OwnerOf(std::string_view kind, uint64_t id, std::string_view name,
                        std::string_view field);

// All block.
absl::StatusOr<std::optional<Credential>> FindCredential(sql::Connection& db,
                                                         const CredentialOwner& owner);
absl::Status PutCredential(sql::Connection& db, const CredentialOwner& owner,
                           const Credential& credential);
absl::Status RemoveCredentials(sql::Connection& db, std::string_view kind, const ObjectRow& row);
// For kinds without ids; does nothing for others.
absl::Status RenameCredentials(sql::Connection& db, std::string_view kind, const ObjectRow& old,
                               std::string_view new_name);
// Replaces hash and verifier if the hash is still `seen`.
absl::Status RefreshCredential(sql::Connection& db, const CredentialOwner& owner,
                               std::string_view seen, const Credential& fresh);

}  // namespace posthorn::store_service
