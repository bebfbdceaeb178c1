#pragma once

// Where mail for an address goes (deep-structures 10). Pure: one function for RCPT, queue and
// login.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store-service/directory/lookups.h"

namespace posthorn::store_service {

struct Resolution {
  enum class Kind { kAccount, kAlias, kRemote, kUnknown, kDisabled, kLoop };
  Kind kind = Kind::kUnknown;
  const AccountRecord* account = nullptr;  // kAccount; valid until the directory changes
  std::string canonical;                   // the account's address; else the address in normal form
  std::string detail;
  std::vector<std::string> targets;  // kAlias: accounts' and foreign addresses, none twice
  DomainId domain = 0;               // of the address asked for; 0: not ours
};

inline constexpr int kMaxResolveDepth = 25;
// Leaves and steps of one expansion: a wrong alias must not cost the store more than this.
inline constexpr size_t kMaxResolveSteps = 20000;

// In this order: domain alias, the whole address, without what stands behind the plus character,
// catch-all; postmaster [RFC5321 4.5.1], also without a domain, leads to somebody where nobody has
// that address. An alias leads on from there. The whole address comes before plus addressing
// (hMailServer strips first), so an account named "a+b" can exist. `address` in normal form.
Resolution Resolve(const Lookups& directory, std::string_view address);

// The account that logs in with this name, or null; no aliases, no plus addressing, no catch-all.
const AccountRecord* FindLogin(const Lookups& directory, std::string_view address);

// "local@domain" of an account.
std::string AddressOf(const Lookups& directory, const AccountRecord& account);

}  // namespace posthorn::store_service
