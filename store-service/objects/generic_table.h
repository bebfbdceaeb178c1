#pragma once

#include <memory>

#include "store-service/database/sql/connection.h"
#include "store-service/objects/kind_schema.h"
#include "store-service/objects/kind_table.h"
#include "store-service/objects/secret_box.h"

namespace posthorn::store_service {

// Every kind without a table of its own: rows of table `object`.
class GenericTable final : public KindTable {
 public:
  // `db` and `box` outlive this.
  GenericTable(sql::Connection& db, const SecretBox& box, std::shared_ptr<const KindSchema> kind)
      : db_(&db), box_(&box), kind_(std::move(kind)) {}
  absl::StatusOr<std::optional<ObjectRow>> Find(std::string_view name) override;
  absl::Status ReleaseNames(const ObjectRow& row) override;
  absl::StatusOr<uint64_t> Put(const ObjectRow* old, const NewRow& row) override;
  absl::Status Remove(const ObjectRow&, uint64_t) override { return absl::OkStatus(); }
  absl::Status CheckRemoved(const ObjectRow&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<ObjectRow>> List(const ListQuery& query) override;

 private:
  sql::Connection* db_;
  const SecretBox* box_;
  std::shared_ptr<const KindSchema> kind_;
};

// A row of any kind that is not a directory kind, for the snapshot.
struct SnapshotRow {
  std::string kind;
  ObjectRow row;
};
// Ordered by (kind, name), after (`after_kind`, `after_name`), at most `limit` + 1.
absl::StatusOr<std::vector<SnapshotRow>> ListSnapshot(sql::Connection& db, const SecretBox& box,
                                                      std::string_view after_kind,
                                                      std::string_view after_name, uint32_t limit);

}  // namespace posthorn::store_service
