#pragma once

// One piece of work that is done again and again, one at a time: every `period`, and at once when
// somebody needs it fresh. On one loop.

#include <chrono>
#include <functional>
#include <memory>

#include "lib/net/loop.h"

namespace posthorn::store_service {

class Rounds {
 public:
  using Work = std::function<net::Task<absl::Status>()>;
  // Begins at once. `work` is not called any more once this is destroyed.
  Rounds(net::Loop& loop, std::chrono::milliseconds period, Work work);
  ~Rounds();
  // The result of a round that began after this call; all that ask meanwhile share it.
  // kUnavailable: it took longer than `limit`.
  net::Task<absl::Status> Fresh(std::chrono::milliseconds limit);

 private:
  struct State;
  static net::Task<void> Run(std::shared_ptr<State> state);
  static net::Task<absl::Status> Wait(std::shared_ptr<State> state,
                                      std::chrono::milliseconds limit);
  std::shared_ptr<State> state_;
};

}  // namespace posthorn::store_service
