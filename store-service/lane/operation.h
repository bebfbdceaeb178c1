#pragma once

#include <vector>

#include "absl/status/status.h"
#include "lib/rpc/context.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

class Change;
struct AccountMemory;

// One write (or ordered read) of one account. Everything runs on the store's loop except
// BeforeRetry.
class Operation {
 public:
  explicit Operation(AccountId account) : account_(account) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  AccountId account() const { return account_; }
  // Mailboxes whose columns Apply looks at.
  virtual std::vector<MailboxId> NeededColumns(AccountMemory&) const { return {}; }
  // Checks, then changes; an error must leave everything as it was. May be called again on fresh
  // state when the batch it was in failed.
  virtual absl::Status Apply(Change& change) = 0;
  // The answer: once, after the state it saw is durable.
  virtual void Done(absl::Status status) = 0;
  // What the step of its commit hangs on; none when its trace is not sampled.
  virtual rpc::TraceContext trace() const { return {}; }
  // Before Apply is called again after a failed batch; blocks, on a reader's thread.
  virtual absl::Status BeforeRetry(ReadSnapshot&) { return absl::OkStatus(); }

 private:
  const AccountId account_;
};

}  // namespace posthorn::store_service
