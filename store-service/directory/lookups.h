#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store-service/directory/records.h"

namespace posthorn::store_service {

// What Resolve asks of a directory. Pointers are valid until the directory changes.
class Lookups {
 public:
  virtual ~Lookups() = default;
  // By name or alias name, in normal form; null: not ours.
  virtual const DomainRecord* FindDomain(std::string_view name) const = 0;
  virtual const DomainRecord* DomainById(DomainId id) const = 0;
  // At most one of them is set.
  struct Found {
    const AccountRecord* account = nullptr;
    const AliasRecord* alias = nullptr;
  };
  virtual Found FindAddress(DomainId domain, std::string_view local) const = 0;
  // [RFC5321 4.5.1] addresses that take mail for the postmaster of a domain that has none (0: of
  // the whole installation), the first that leads anywhere.
  virtual std::vector<std::string> Postmasters(DomainId domain) const = 0;
};

}  // namespace posthorn::store_service
