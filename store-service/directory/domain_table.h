#pragma once

#include "store-service/database/sql/connection.h"
#include "store-service/directory/records.h"
#include "store-service/objects/kind_table.h"

namespace posthorn::store_service {

// posthorn.config.v1.Domain. A domain's name stands in this table alone, so a rename is one row
// here and one in domain_name, whatever it holds.
class DomainTable final : public KindTable {
 public:
  // Both outlive this; `delta` collects what is written.
  DomainTable(sql::Connection& db, DirectoryDelta& delta) : db_(&db), delta_(&delta) {}
  absl::StatusOr<std::optional<ObjectRow>> Find(std::string_view name) override;
  absl::Status ReleaseNames(const ObjectRow& row) override;
  absl::StatusOr<uint64_t> Put(const ObjectRow* old, const NewRow& row) override;
  absl::Status Remove(const ObjectRow& row, uint64_t revision) override;
  absl::Status CheckRemoved(const ObjectRow& row) override;
  absl::StatusOr<std::vector<ObjectRow>> List(const ListQuery& query) override;

 private:
  sql::Connection* db_;
  DirectoryDelta* delta_;
};

// From a row of table `domain`. kDataLoss: `data` is no Domain.
absl::StatusOr<DomainRecord> ToDomainRecord(DomainId id, std::string_view name,
                                            std::string_view data);

// The next value of a counter: ids are never used again, whatever is rolled back or removed.
absl::StatusOr<uint64_t> NextId(sql::Connection& db, std::string_view counter);

}  // namespace posthorn::store_service
