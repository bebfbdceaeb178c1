#pragma once

#include <functional>
#include <memory>

namespace posthorn::net {
class Loop;
}

namespace posthorn::process {

// SIGTERM and SIGINT as events on a loop. Block() must run before the first thread starts: a thread
// that does not block them could die of them (gRPC starts threads as soon as an object of its is
// made).
class StopSignal {
 public:
  static void Block();
  // `stop` runs on the loop, once for each signal.
  StopSignal(net::Loop& loop, std::function<void()> stop);
  ~StopSignal();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace posthorn::process
