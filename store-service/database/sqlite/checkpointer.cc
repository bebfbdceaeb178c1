#include "store-service/database/sqlite/checkpointer.h"

#include <utility>

#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::store_service {
namespace {

void Checkpoint(sqlite::Connection& connection) {
  const auto result = connection.Checkpoint(sqlite::Connection::Checkpointing::kPassive);
  if (!result.ok()) {
    observe::Warning("store.database.checkpoint", {{"error", base::Message(result.status())}});
  }
}

}  // namespace

Checkpointer::Checkpointer(std::unique_ptr<sqlite::Connection> connection, int frames)
    : connection_(std::move(connection)), frames_(frames), thread_([this] { Run(); }) {}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Checkpointer::BetweenTransactions(sqlite::Connection& committer, int log_frames) {
  if (log_frames < frames_) return;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::kCopying) return;
    if (phase_ == Phase::kIdle) {
      phase_ = Phase::kCopying;
      changed_.notify_all();
      return;
    }
    phase_ = Phase::kIdle;
  }
  Checkpoint(committer);
}

void Checkpointer::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || phase_ == Phase::kCopying; });
    if (stop_) return;
    lock.unlock();
    Checkpoint(*connection_);
    lock.lock();
    phase_ = Phase::kCopied;
  }
}

}  // namespace posthorn::store_service
