#pragma once

// Making certificates: a private authority, and what it signs. ECDSA on P-256. Nothing is written.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::certs {

// A certificate and its private key, both PEM.
struct Identity {
  std::string certificate_pem;
  std::string key_pem;
};

// Seconds since 1970.
struct Validity {
  int64_t not_before = 0;
  int64_t not_after = 0;
  // From an hour ago, for peers whose clock is behind, until `days` from now.
  static Validity Days(int days);
};

// One that may sign end entities only. Its subject is `name` and its serial number, so that an
// authority and its successor are never mistaken for each other.
absl::StatusOr<Identity> MakeAuthority(const std::string& name, Validity validity);

// For servers and clients. `names` are DNS names and IP addresses; the first one is the common
// name. It never outlives the authority. kInvalidArgument names what is no name.
absl::StatusOr<Identity> Issue(const Identity& authority, const std::vector<std::string>& names,
                               Validity validity);

}  // namespace posthorn::certs
