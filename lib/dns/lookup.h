#pragma once

// Typed questions on top of Resolver. Errors are those of Resolver::Query; `outcome` and `secure`
// are those of Answer.

#include <string>
#include <vector>

#include "lib/dns/records.h"
#include "lib/dns/resolver.h"

namespace posthorn::dns {

struct Addresses {
  Outcome outcome = Outcome::kNxDomain;
  bool secure = false;  // both answers were
  std::vector<std::string> v4, v6;
};
// A and AAAA, both asked at once. When one of the two fails and the other found addresses, those
// are the result; when it found none, the failure is. `loop` is the resolver's.
net::Task<absl::StatusOr<Addresses>> LookupAddresses(
    net::Loop& loop, Resolver& resolver, std::string name,
    std::chrono::milliseconds timeout = kQueryTimeout);
// One family.
net::Task<absl::StatusOr<Addresses>> LookupV4(Resolver& resolver, std::string name,
                                              std::chrono::milliseconds timeout = kQueryTimeout);
net::Task<absl::StatusOr<Addresses>> LookupV6(Resolver& resolver, std::string name,
                                              std::chrono::milliseconds timeout = kQueryTimeout);

struct MailHosts {
  Outcome outcome = Outcome::kNxDomain;
  bool secure = false;
  // [RFC7505 3] one MX with the name ".": the domain takes no mail; `hosts` is empty then.
  bool null_mx = false;
  // By preference, then as answered: callers shuffle hosts of equal preference ([RFC5321 5.1]). "."
  // beside others is left out. The implicit MX (no records: the domain itself) is the caller's
  // business.
  std::vector<MxHost> hosts;
};
net::Task<absl::StatusOr<MailHosts>> LookupMx(Resolver& resolver, std::string domain,
                                              std::chrono::milliseconds timeout = kQueryTimeout);

struct Texts {
  Outcome outcome = Outcome::kNxDomain;
  bool secure = false;
  std::vector<std::string> texts;  // one for each record
};
net::Task<absl::StatusOr<Texts>> LookupTxt(Resolver& resolver, std::string name,
                                           std::chrono::milliseconds timeout = kQueryTimeout);

struct HostNames {
  Outcome outcome = Outcome::kNxDomain;
  bool secure = false;
  std::vector<std::string> names;
};
// The PTR names of a numeric address; kInvalidArgument when it is not one.
net::Task<absl::StatusOr<HostNames>> LookupPtr(Resolver& resolver, std::string address,
                                               std::chrono::milliseconds timeout = kQueryTimeout);

}  // namespace posthorn::dns
