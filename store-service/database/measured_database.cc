#include "store-service/database/measured_database.h"

#include <utility>

#include "lib/observe/metrics.h"
#include "store-service/database/forwarding_database.h"

namespace posthorn::store_service {
namespace {

// What an operator has to do with: the database is away, too slow, full or damaged. Lost fences and
// rows that are not there belong to normal life.
std::string_view Trouble(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return "unavailable";
    case absl::StatusCode::kDeadlineExceeded:
      return "timeout";
    case absl::StatusCode::kResourceExhausted:
      return "full";
    case absl::StatusCode::kDataLoss:
      return "damaged";
    case absl::StatusCode::kUnknown:
      return "unknown_outcome";
    case absl::StatusCode::kInternal:
      return "internal";
    default:
      return "";
  }
}

observe::Counter* Errors(std::string_view call, std::string_view trouble) {
  return observe::NewCounter("posthorn_store_database_errors_total",
                             "Calls of the database that failed, by call and what was wrong",
                             {{"call", call}, {"error", trouble}});
}

class MeasuredDatabase final : public ForwardingDatabase<Database> {
 public:
  explicit MeasuredDatabase(std::unique_ptr<Database> database)
      : ForwardingDatabase(*database), database_(std::move(database)) {
    // There from the start, so that a first error shows as a rise.
    for (const std::string_view call : {"commit", "lease", "read"}) Errors(call, "unavailable");
  }

  absl::Status Commit(const Fence& fence, const WriteBatch& batch) override {
    return Count("commit", database_->Commit(fence, batch));
  }
  absl::StatusOr<LaneRow> AcquireLane(uint32_t lane, std::string_view owner,
                                      int64_t lease_ms) override {
    return Count("lease", database_->AcquireLane(lane, owner, lease_ms));
  }
  absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms) override {
    return Count("lease", database_->RenewLanes(lanes, lease_ms));
  }
  absl::StatusOr<LaneRow> ReadLane(uint32_t lane) override {
    return Count("lease", database_->ReadLane(lane));
  }
  absl::StatusOr<ClusterRows> Beat(const ReplicaRow& me) override {
    return Count("lease", database_->Beat(me));
  }
  absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() override {
    return Count("read", database_->OpenSnapshot());
  }

  std::vector<std::string> Warnings() override { return database_->Warnings(); }
  DatabaseServer Server() override { return database_->Server(); }

 private:
  static const absl::Status& StatusOf(const absl::Status& status) { return status; }
  template <class T>
  static const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }
  template <class Result>
  static Result Count(std::string_view call, Result result) {
    if (const std::string_view trouble = Trouble(StatusOf(result)); !trouble.empty())
      Errors(call, trouble)->Add();
    return result;
  }

  std::unique_ptr<Database> database_;
};

}  // namespace

std::unique_ptr<Database> MeasureDatabase(std::unique_ptr<Database> database) {
  return std::make_unique<MeasuredDatabase>(std::move(database));
}

}  // namespace posthorn::store_service
