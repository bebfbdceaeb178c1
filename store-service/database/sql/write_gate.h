#pragma once

// Where a file's writers can be held up: who copies the file elsewhere closes the gate for the last
// of it. Any thread.

#include <condition_variable>
#include <mutex>

#include "absl/status/status.h"

namespace posthorn::store_service::sql {

class WriteGate {
 public:
  // What Close() was given while it is closed; else OK, and the caller calls Leave().
  absl::Status Enter();
  void Leave();
  // Returns when nobody is inside any more; from then on Enter() answers `why`.
  void Close(absl::Status why);
  void Open();

 private:
  std::mutex mutex_;
  std::condition_variable left_;
  int inside_ = 0;
  absl::Status why_;  // OK: open
};

}  // namespace posthorn::store_service::sql
