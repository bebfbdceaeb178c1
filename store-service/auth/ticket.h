#pragma once

// Tickets (deep-structures 9): what a gateway shows with every call that acts for an account.

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/base/ids.h"
#include "store-service/directory/accounts.h"

namespace posthorn::store_service {

struct TicketFacts {
  base::AccountId account = 0;
  std::string address;
  std::string protocol;  // "smtp", "imap", "pop3", "admin"
  int64_t expires = 0;   // seconds since 1970
  uint64_t session_version = 0;
  uint64_t revision = 0;  // of the directory it was made from
};

// Any thread; no I/O.
class TicketVerifier {
 public:
  virtual ~TicketVerifier() = default;
  // kUnauthenticated: none, forged or expired. kPermissionDenied: the account was disabled, removed
  // or given another password since.
  virtual absl::StatusOr<TicketFacts> Verify(std::string_view ticket) const = 0;
};

class TicketSigner final : public TicketVerifier {
 public:
  static constexpr int64_t kLifeSeconds = 24 * 3600;
  // So long after it was made a ticket may know more of its account than this store does, which
  // follows other replicas' commits a moment later.
  static constexpr int64_t kFollowSeconds = 10;
  // `key`: 32 bytes only stores hold. `accounts` outlives this.
  TicketSigner(std::string key, const Accounts& accounts);
  // Valid for kLifeSeconds from now.
  std::string Issue(TicketFacts facts) const;
  absl::StatusOr<TicketFacts> Verify(std::string_view ticket) const override;

 private:
  std::string key_;
  const Accounts* accounts_;
};

}  // namespace posthorn::store_service
