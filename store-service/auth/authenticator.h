#pragma once

// Passwords and SCRAM verifiers of accounts and administrators, checked beside the directory. On
// the store's loop; hashing on the configuration's pool. Invariants:
//  1. A name that does not exist, and one without a password, cost what a wrong password costs.
//  2. Whether name or password is wrong is never said; a disabled account is told only to who knows
//  its password.
//  3. What a ticket is made from is read before the password is checked: a change meanwhile voids
//  it.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/auth/scram.h"
#include "store-service/auth/ticket.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {

enum class LoginOutcome { kSuccess, kFailure, kRefused, kTemporary };

struct Login {
  LoginOutcome outcome = LoginOutcome::kFailure;
  // With kSuccess:
  base::AccountId account = 0;
  std::string address;
  std::string ticket;
  std::vector<std::string> may_send_as;
  uint64_t version = 0;
};

class Authenticator {
 public:
  // Both outlive this.
  Authenticator(Configuration& configuration, const TicketSigner& signer)
      : configuration_(configuration), signer_(signer) {}

  net::Task<Login> CheckPassword(std::string login, std::string password, std::string protocol);
  // Nothing: overloaded. A made-up verifier when there is no such account or password.
  net::Task<std::optional<auth::ScramVerifier>> VerifierOf(std::string login);
  // After a SCRAM proof of `login`.
  Login Accept(std::string_view login, std::string_view protocol) const;
  // kUnavailable: overloaded.
  net::Task<absl::StatusOr<bool>> CheckAdministrator(std::string name, std::string password);
  // kNotFound: no such account. Outcome kRefused: it is disabled.
  absl::StatusOr<Login> IssueTicket(std::string_view address, std::string_view protocol) const;

 private:
  enum class Match { kYes, kNo, kTemporary };
  net::Task<Match> Compare(CredentialOwner owner, bool exists, std::string password);
  // The account a login name means, in any spelling and under any name of its domain.
  const AccountRecord* Find(std::string_view login) const;
  Login For(const AccountRecord& account, std::string_view protocol) const;

  Configuration& configuration_;
  const TicketSigner& signer_;
};

}  // namespace posthorn::store_service
