#pragma once

// One letter on one session.

#include <memory>

#include "delivery-queue/remote/body.h"
#include "delivery-queue/remote/next_hop.h"
#include "delivery-queue/remote/session_opener.h"

namespace posthorn::delivery_queue {

enum class After {
  kGoOn,  // the session is good for the next letter
  kDead,  // it is not
};
struct Sent {
  After after = After::kGoOn;
  bool any_good = false;  // some recipient got it
  // Recipients that have no outcome yet: to be tried at once, on a new session (again is set) or in
  // the next transaction. Empty: all were answered.
  Letter rest;
};
// Everything that was decided has been answered when it returns. `session` and what `may_end` (asked right before the
// final dot, and after it) refers to must outlive the task.
net::Task<Sent> SendLetter(Session& session, Bodies& bodies, Letter letter,
                           std::function<bool()> may_end);

}  // namespace posthorn::delivery_queue
