#pragma once

// Tells admin-service how this process is, every two seconds and whenever there is news. Belongs to
// its loop.

#include <chrono>
#include <functional>
#include <memory>

#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "lib/rpc/client.h"

namespace posthorn::admin::v1 {
class ProcessReport;
}

namespace posthorn::process {

class Reporter {
 public:
  // `describe` is asked on the loop, and lives until Stop().
  Reporter(net::Loop& loop, rpc::Client& admin, std::function<admin::v1::ProcessReport()> describe);
  ~Reporter();

  void Start();
  // There is news.
  void Now();
  void Stop();
  // The last word, that this process ends in order; gives up after `limit`.
  net::Task<void> Leave(std::chrono::milliseconds limit);

 private:
  struct State;
  static net::Task<void> Run(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace posthorn::process
