#pragma once

#include <vector>

#include "store-service/database/sql/connection.h"
#include "store-service/directory/records.h"

namespace posthorn::store_service {

// All of directory.db's domains, accounts and aliases, with accounts that are being deleted.
// Blocks; 100,000 accounts take about half a second.
absl::StatusOr<DirectoryDelta> LoadDirectory(sql::Connection& db);

// What commits of others changed: the same as the deltas of revisions after `since` up to `until`,
// one after the other.
struct DirectoryChanges {
  DirectoryDelta delta;
  // Of the removed accounts those whose mail is gone already.
  std::vector<base::AccountId> erased;
  // Every address and domain name that a change was about, also of what came and went in between.
  std::vector<std::string> names;
};
// In a read transaction in which the head is `until`.
absl::StatusOr<DirectoryChanges> LoadChanges(sql::Connection& db, uint64_t since, uint64_t until);
// Accounts whose mail is still being removed.
absl::StatusOr<std::vector<base::AccountId>> LoadDeleting(sql::Connection& db);

}  // namespace posthorn::store_service
