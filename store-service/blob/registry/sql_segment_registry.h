#pragma once

// SegmentRegistry in an SQL database: the cluster's, or a file of one store that keeps its messages
// in an object store. Any thread; calls block, one after the other.

#include <memory>
#include <mutex>

#include "store-service/blob/segment_registry.h"
#include "store-service/database/sql/connection.h"

namespace posthorn::store_service {

class SqlSegmentRegistry final : public SegmentRegistry {
 public:
  // Connects and brings the tables up to date.
  static absl::StatusOr<std::unique_ptr<SegmentRegistry>> Open(
      std::shared_ptr<sql::Database> database);

  absl::StatusOr<SegmentRow> Take(const std::string& writer) override;
  absl::StatusOr<SegmentRow> Find(uint64_t number) override;
  absl::StatusOr<std::vector<SegmentRow>> List() override;
  absl::StatusOr<SegmentRow> Update(SegmentRow row) override;
  absl::Status Remove(const SegmentRow& row) override;
  absl::Status Import(const std::vector<SegmentRow>& rows, uint64_t next) override;
  absl::StatusOr<std::string> Identity(const std::string& proposed) override;

 private:
  SqlSegmentRegistry(std::shared_ptr<sql::Database> database,
                     std::unique_ptr<sql::Connection> connection)
      : database_(std::move(database)), connection_(std::move(connection)) {}
  absl::Status Insert(const SegmentRow& row);
  absl::StatusOr<SegmentRow> Read(uint64_t number);
  // Whether a change whose answer was lost happened: the row as it was wanted.
  absl::StatusOr<bool> Happened(const SegmentRow& wanted);

  const std::shared_ptr<sql::Database> database_;
  std::mutex mutex_;
  const std::unique_ptr<sql::Connection> connection_;
};

}  // namespace posthorn::store_service
