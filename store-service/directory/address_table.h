#pragma once

// Accounts and aliases: two kinds whose names are addresses, unique over both.

#include "store-service/database/sql/connection.h"
#include "store-service/directory/records.h"
#include "store-service/objects/kind_table.h"

namespace posthorn::store_service {

// The statements of one of the two tables.
struct AddressSql;

class AddressTable : public KindTable {
 public:
  absl::StatusOr<std::optional<ObjectRow>> Find(std::string_view name) override;
  absl::Status ReleaseNames(const ObjectRow& row) override;
  absl::StatusOr<uint64_t> Put(const ObjectRow* old, const NewRow& row) override;
  absl::Status Remove(const ObjectRow& row, uint64_t revision) override;
  absl::Status CheckRemoved(const ObjectRow&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<ObjectRow>> List(const ListQuery& query) override;

 protected:
  struct Written {
    uint64_t id = 0;
    DomainId domain = 0;
    std::string_view local;
    std::string_view data;
    uint64_t revision = 0;
    uint64_t session_revision = 0;
  };
  AddressTable(sql::Connection& db, DirectoryDelta& delta, const AddressSql& sql)
      : db_(&db), delta_(&delta), sql_(&sql) {}
  // Adds the record to the delta. kDataLoss when `data` does not parse.
  virtual absl::Status Wrote(const Written& row) = 0;
  virtual absl::Status Removed(uint64_t id, uint64_t revision) = 0;
  // True when going from `before` to `after` ends sessions.
  virtual absl::StatusOr<bool> EndsSessions(std::string_view before,
                                            std::string_view after) const = 0;

  sql::Connection* db_;
  DirectoryDelta* delta_;

 private:
  absl::StatusOr<uint64_t> SessionRevision(const ObjectRow* old, const NewRow& row) const;
  const AddressSql* sql_;
};

class AccountTable final : public AddressTable {
 public:
  AccountTable(sql::Connection& db, DirectoryDelta& delta);

 protected:
  absl::Status Wrote(const Written& row) override;
  absl::Status Removed(uint64_t id, uint64_t revision) override;
  absl::StatusOr<bool> EndsSessions(std::string_view before, std::string_view after) const override;
};

class AliasTable final : public AddressTable {
 public:
  AliasTable(sql::Connection& db, DirectoryDelta& delta);

 protected:
  absl::Status Wrote(const Written& row) override;
  absl::Status Removed(uint64_t id, uint64_t revision) override;
  absl::StatusOr<bool> EndsSessions(std::string_view, std::string_view) const override {
    return false;
  }
};

absl::StatusOr<AccountRecord> ToAccountRecord(uint64_t id, DomainId domain, std::string_view local,
                                              std::string_view data);
absl::StatusOr<AliasRecord> ToAliasRecord(uint64_t id, DomainId domain, std::string_view local,
                                          std::string_view data);

}  // namespace posthorn::store_service
