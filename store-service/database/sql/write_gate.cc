#include "store-service/database/sql/write_gate.h"

#include <utility>

namespace posthorn::store_service::sql {

absl::Status WriteGate::Enter() {
  const std::lock_guard lock(mutex_);
  if (why_.ok()) ++inside_;
  return why_;
}

void WriteGate::Leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) left_.notify_all();
}

void WriteGate::Close(absl::Status why) {
  std::unique_lock lock(mutex_);
  why_ = std::move(why);
  left_.wait(lock, [this] { return inside_ == 0; });
}

void WriteGate::Open() {
  const std::lock_guard lock(mutex_);
  why_ = absl::OkStatus();
}

}  // namespace posthorn::store_service::sql
