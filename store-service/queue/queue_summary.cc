// What the journals hold, for `posthorn status`.

#include "lib/base/status_macros.h"
#include "store-service/queue/queue_table.h"

namespace posthorn::store_service {

namespace v1 = posthorn::store::v1;

absl::StatusOr<std::vector<v1::StoreStatusReply::QueueJournal>> QueueTable::Summaries() {
  ASSIGN_OR_RETURN(const std::vector<QueueJournalRow> rows, leases_.All());
  ASSIGN_OR_RETURN(const int64_t now, leases_.Now());
  std::vector<v1::StoreStatusReply::QueueJournal> journals;
  for (const QueueJournalRow& row : rows) {
    ASSIGN_OR_RETURN(
        const int64_t entries,
        db_.Integer("SELECT count(*) FROM queue_entry WHERE journal=?1", sql::Bytes(row.id)));
    v1::StoreStatusReply::QueueJournal& journal = journals.emplace_back();
    journal.set_owner(row.owner);
    journal.set_entries(static_cast<uint64_t>(entries));
    journal.set_lease_left_ms(row.expires_ms - now);
    journal.set_closed(row.closed);
  }
  return journals;
}

}  // namespace posthorn::store_service
