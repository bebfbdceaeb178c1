#include <chrono>
#include <random>
#include <thread>

#include "store-service/database/sql/connection.h"

namespace posthorn::store_service::sql {
namespace {

constexpr int kTries = 8;
constexpr int kFirstPauseMs = 4;

// Different for each loser, so that two do not meet again.
void Pause(int attempt) {
  static thread_local std::minstd_rand random(std::random_device{}());
  const auto most = static_cast<uint32_t>(kFirstPauseMs << attempt);
  std::this_thread::sleep_for(std::chrono::milliseconds(1 + random() % most));
}

}  // namespace

absl::Status Transact(Connection& connection, const std::function<absl::Status()>& work) {
  for (int attempt = 0;; ++attempt) {
    const uint64_t lost = connection.conflicts();
    absl::Status status;
    {
      ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
      status = work();
      if (status.ok()) status = transaction.Commit();
    }
    // Work may say kAborted for reasons of its own, which no second try would change.
    if (!absl::IsAborted(status) || connection.conflicts() == lost || attempt + 1 == kTries)
      return status;
    Pause(attempt);
  }
}

}  // namespace posthorn::store_service::sql
