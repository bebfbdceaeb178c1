#pragma once

// Where the directory and the mail part of the store meet: each side offers the other one
// interface, so neither includes the other's classes.

#include <cstdint>

#include "absl/status/status.h"
#include "lib/base/ids.h"
#include "lib/net/task.h"

namespace posthorn::store_service {

enum class AccountState {
  kUnknown,  // never existed, or gone for good
  kActive,
  kDisabled,  // account or domain is switched off: no login, no new mail by RCPT
  kDeleting,  // removed from the directory, its mail is being removed
};

struct AccountFacts {
  AccountState state = AccountState::kUnknown;
  uint64_t quota = 0;  // bytes; 0: no limit
  // Bumped by password, disable and delete: tickets and sessions of an older one are void.
  uint64_t session_version = 0;
  // Of the directory this was read from.
  uint64_t revision = 0;
};

// Offered by the directory to lanes, Sync and tickets.
class Accounts {
 public:
  virtual ~Accounts() = default;
  // From memory; any thread; never blocks for long.
  virtual AccountFacts Facts(base::AccountId account) const = 0;
  // OK: what Facts says from now on is not older than this call, whichever replica changed it.
  // kUnavailable: nobody can know at the moment. On the store's loop.
  virtual net::Task<absl::Status> CatchUp() const { co_return absl::OkStatus(); }
};

struct Usage {
  uint64_t bytes = 0;
  uint64_t messages = 0;
};

// Offered by the lanes to the directory.
class UsageSource {
 public:
  virtual ~UsageSource() = default;
  // At most 10 s old; from memory; on the store's loop. Zero for accounts nobody has touched yet is
  // allowed only when they hold nothing.
  virtual Usage UsageOf(base::AccountId account) = 0;
  // The same, asked from the database when another store owns the account's lane.
  virtual net::Task<Usage> RecentUsageOf(base::AccountId account) { co_return UsageOf(account); }
};

// Offered by the lanes to the directory.
class AccountLifecycle {
 public:
  virtual ~AccountLifecycle() = default;
  // Removes all mail of an account that is `kDeleting`. On the store's loop. Idempotent: called
  // again after a restart or an error until it answers OK, and only then the account is forgotten.
  virtual net::Task<absl::Status> EraseAccount(base::AccountId account) = 0;
};

// Called on the store's loop after a commit: the account was disabled, removed or given another
// password, so its views and locks end. Offered by the lanes.
class SessionEnder {
 public:
  virtual ~SessionEnder() = default;
  virtual void EndSessions(base::AccountId account) = 0;
};

}  // namespace posthorn::store_service
