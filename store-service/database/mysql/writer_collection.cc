// The collector's rows: suspects, the condemned, the destroyed.

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/many_rows.h"
#include "store-service/database/mysql/mysql_writer.h"

namespace posthorn::store_service {
namespace {

using mysql::ManyRows;
using mysql::Script;

constexpr char kTouchAll[] = "UPDATE lane SET touched=touched+1 ORDER BY lane";
constexpr char kPutSuspects[] = "INSERT INTO suspect(blob_key, since) VALUES ";
constexpr char kCondemn[] = "INSERT IGNORE INTO condemned(blob_key, time, destroyed) VALUES ";

// HEAD key, key, …)
absl::Status AddForKeys(Script& script, std::string_view head, const std::vector<uint64_t>& keys) {
  ManyRows rows(script, {head, ")"});
  for (const uint64_t key : keys) RETURN_IF_ERROR(rows.AddText(base::StrCat(key)));
  return rows.Finish();
}

}  // namespace

absl::Status MysqlWriter::PutSuspects(const Fence& fence, const std::vector<SuspectRow>& rows) {
  return Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    RETURN_IF_ERROR(connection_->Run("DELETE FROM suspect"));
    Script script(*connection_);
    ManyRows suspects(script, {kPutSuspects});
    for (const SuspectRow& row : rows) RETURN_IF_ERROR(suspects.Add(row.blob_key, row.since_ms));
    RETURN_IF_ERROR(suspects.Finish());
    return script.Run();
  });
}

absl::Status MysqlWriter::Condemn(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                  int64_t now_ms) {
  return Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run(kTouchAll));
    RETURN_IF_ERROR(CheckFence(fence));
    Script script(*connection_);
    ManyRows condemned(script, {kCondemn});
    for (const uint64_t key : blob_keys) RETURN_IF_ERROR(condemned.Add(key, now_ms, 0));
    RETURN_IF_ERROR(condemned.Finish());
    RETURN_IF_ERROR(AddForKeys(script, "DELETE FROM suspect WHERE blob_key IN (", blob_keys));
    return script.Run();
  });
}

absl::Status MysqlWriter::MarkDestroyed(const Fence& fence, const std::vector<uint64_t>& blob_keys,
                                        int64_t now_ms, int64_t keep_ms) {
  const std::string mark =
      base::StrCat("UPDATE condemned SET destroyed=", now_ms, " WHERE blob_key IN (");
  return Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    Script script(*connection_);
    RETURN_IF_ERROR(AddForKeys(script, mark, blob_keys));
    RETURN_IF_ERROR(AddForKeys(script, "DELETE FROM body WHERE blob_key IN (", blob_keys));
    RETURN_IF_ERROR(AddForKeys(script, "DELETE FROM other_prefix WHERE blob_key IN (", blob_keys));
    RETURN_IF_ERROR(script.Run());
    return connection_->Run("DELETE FROM condemned WHERE destroyed<>0 AND destroyed<?",
                            now_ms - keep_ms);
  });
}

}  // namespace posthorn::store_service
