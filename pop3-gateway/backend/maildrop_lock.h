#pragma once

// [RFC1939 8] The exclusive lock of a maildrop, held at the owner of its account while this lives.
// When the account moves to another store replica, or the one that owned it dies, the lock is
// claimed anew there, before others may have it. On the loop.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::cluster {
class Stores;
}
namespace posthorn::net {
class Loop;
}

namespace posthorn::pop3_gateway {

class MaildropLock {
 public:
  // `loop` and `store` outlive it.
  MaildropLock(net::Loop& loop, cluster::Stores& store, std::string ticket);
  ~MaildropLock();
  MaildropLock(const MaildropLock&) = delete;
  MaildropLock& operator=(const MaildropLock&) = delete;

  // The inbox's id. kAlreadyExists: another session holds it; kUnavailable: no owner could be
  // asked.
  net::Task<absl::StatusOr<uint64_t>> Take();
  // True when another session got it, or nobody could be asked for too long.
  bool lost() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace posthorn::pop3_gateway
