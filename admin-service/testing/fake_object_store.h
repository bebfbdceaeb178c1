#pragma once

// The store's Objects service in memory, for tests: revisions, guards and history as the contract
// says.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "admin-service/service/object_store.h"

namespace posthorn::admin_service {

class FakeObjectStore : public ObjectStore {
 public:
  net::Task<absl::StatusOr<uint64_t>> Head() override;
  net::Task<absl::StatusOr<std::string>> TokenKey() override { co_return std::string(); }
  net::Task<absl::StatusOr<store::v1::ListObjectsReply>> List(
      store::v1::ListObjectsRequest request) override;
  net::Task<absl::StatusOr<uint64_t>> Commit(store::v1::CommitRequest request) override;
  net::Task<absl::StatusOr<store::v1::HistoryReply>> History(
      store::v1::HistoryRequest request) override;
  net::Task<absl::StatusOr<bool>> CheckAdministrator(std::string name,
                                                     std::string password) override;

  // Runs once, before the next commit: another administrator who is quicker.
  std::function<void()> before_commit;
  // As another administrator would: no checks.
  uint64_t Write(const std::string& kind, const std::string& name, const std::string& data);
  int password_checks = 0;
  std::string right_password = "right";
  // Every call fails so.
  absl::Status away;
  uint32_t page = 1000;

 private:
  using Key = std::pair<std::string, std::string>;
  void Change(const store::v1::Change& change, store::v1::Revision& revision);

  uint64_t head_ = 0;
  std::map<Key, store::v1::Object> objects_;
  std::vector<store::v1::Revision> history_;  // oldest first
};

}  // namespace posthorn::admin_service
