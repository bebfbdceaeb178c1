#pragma once

// Keeps the write-ahead log short without stopping the committer: this thread copies the bulk back
// while commits go on, then the committer copies the small rest between two transactions, and the
// next transaction begins the log anew. A background checkpoint alone never gets that far under
// steady load.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "lib/sqlite/connection.h"

namespace posthorn::store_service {

class Checkpointer {
 public:
  // `connection` is used by the thread alone.
  Checkpointer(std::unique_ptr<sqlite::Connection> connection, int frames);
  ~Checkpointer();

  // The committer calls this between transactions with its own connection and the frames in the
  // log.
  void BetweenTransactions(sqlite::Connection& committer, int log_frames);

 private:
  enum class Phase { kIdle, kCopying, kCopied };
  void Run();

  const std::unique_ptr<sqlite::Connection> connection_;
  const int frames_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Phase phase_ = Phase::kIdle;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace posthorn::store_service
