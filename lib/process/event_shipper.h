#pragma once

// Takes trace events from the mail's path and ships them to the store in batches (deep-structures
// 13). Invariants: never blocks, never fails the mail, bounded memory; what does not fit is dropped
// and counted.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "lib/net/loop.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/store/v1/objects.pb.h"

namespace posthorn::observe {
class Counter;
}

namespace posthorn::process {

class EventShipper {
 public:
  static constexpr size_t kRing = 10000;
  static constexpr size_t kBatch = 500;
  static constexpr std::chrono::milliseconds kGather{50};
  static constexpr std::chrono::milliseconds kPause{500};  // after a failure

  using Send = std::function<net::Task<absl::Status>(store::v1::RecordEventsRequest)>;
  // `origin` is written into events that name none.
  EventShipper(net::Loop& loop, std::string origin, Send send);
  ~EventShipper();

  // On the loop.
  void Add(common::v1::Event event);
  size_t waiting() const;
  // Returns when nothing waits any more, or after `limit`.
  net::Task<void> Flush(std::chrono::milliseconds limit);

 private:
  struct State;
  static net::Task<void> Ship(std::shared_ptr<State> state);
  static void Arm(const std::shared_ptr<State>& state, std::chrono::milliseconds delay);
  std::shared_ptr<State> state_;
};

}  // namespace posthorn::process
