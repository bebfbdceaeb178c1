// The collector's rows: suspects, the condemned, the destroyed. Rare, so statements are not kept by
// name.

#include <unordered_set>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/sqlite/sqlite_writer.h"

namespace posthorn::store_service {
namespace {

constexpr char kAnyCondemned[] = "SELECT 1 FROM condemned LIMIT 1";
constexpr char kIsCondemned[] = "SELECT 1 FROM condemned WHERE blob_key=?";
constexpr char kDropSuspects[] = "DELETE FROM suspect";
constexpr char kPutSuspect[] = "INSERT INTO suspect(blob_key, since) VALUES(?,?)";
constexpr char kDropSuspect[] = "DELETE FROM suspect WHERE blob_key=?";
constexpr char kCondemn[] =
    "INSERT OR IGNORE INTO condemned(blob_key, time, destroyed) VALUES(?,?,0)";
constexpr char kMarkDestroyed[] = "UPDATE condemned SET destroyed=? WHERE blob_key=?";
constexpr char kDropBody[] = "DELETE FROM body WHERE blob_key=?";
constexpr char kDropPrefixes[] = "DELETE FROM other_prefix WHERE blob_key=?";
constexpr char kForgetDestroyed[] = "DELETE FROM condemned WHERE destroyed<>0 AND destroyed<?";

}  // namespace

// Copies need no look-up: their source's row refers to the blob, so it is not condemned.
absl::Status SqliteWriter::RefuseCondemned(const WriteBatch& batch) {
  if (batch.messages.empty()) return absl::OkStatus();
  sqlite::Cursor any = connection_->Query(kAnyCondemned);
  ASSIGN_OR_RETURN(const bool some, any.Next());
  if (!some) return absl::OkStatus();
  std::unordered_set<uint64_t> checked;
  for (const MessageRow& row : batch.messages) {
    if (!checked.insert(row.columns.blob_key).second) continue;
    sqlite::Cursor found = connection_->Query(kIsCondemned, row.columns.blob_key);
    ASSIGN_OR_RETURN(const bool condemned, found.Next());
    if (condemned) {
      return base::NotFound(base::StrCat("blob ", row.columns.blob_key, " is condemned"));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteWriter::PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  RETURN_IF_ERROR(connection_->Run(kDropSuspects));
  for (const SuspectRow& row : rows) {
    RETURN_IF_ERROR(connection_->Run(kPutSuspect, row.blob_key, row.since_ms));
  }
  return transaction.Commit();
}

absl::Status SqliteWriter::Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                   int64_t now_ms) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  for (const uint64_t key : blob_keys) {
    RETURN_IF_ERROR(connection_->Run(kCondemn, key, now_ms));
    RETURN_IF_ERROR(connection_->Run(kDropSuspect, key));
  }
  return transaction.Commit();
}

absl::Status SqliteWriter::MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                         int64_t now_ms, int64_t keep_ms) {
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(*connection_));
  RETURN_IF_ERROR(CheckFence(fence));
  for (const uint64_t key : blob_keys) {
    RETURN_IF_ERROR(connection_->Run(kMarkDestroyed, now_ms, key));
    RETURN_IF_ERROR(connection_->Run(kDropBody, key));
    RETURN_IF_ERROR(connection_->Run(kDropPrefixes, key));
  }
  RETURN_IF_ERROR(connection_->Run(kForgetDestroyed, now_ms - keep_ms));
  return transaction.Commit();
}

}  // namespace posthorn::store_service
