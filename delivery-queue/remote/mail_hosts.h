#pragma once

// From a domain to the hosts that take its mail [RFC5321 5.1].

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/remote/route.h"
#include "lib/dns/lookup.h"

namespace posthorn::delivery_queue {

// An address to connect to, and the name it goes by in logs, DSNs and SNI.
struct Target {
  std::string host;
  std::string address;  // numeric
  uint16_t port = 25;
};

// Hosts in the order they are tried, or why there are none.
using HostPlan = std::variant<std::vector<std::string>, RemoteOutcome>;
// A number below `limit`.
using Dice = std::function<size_t(size_t limit)>;
// Pure. Hosts of equal preference in random order; ours and those behind it left out; the domain
// itself when it has no MX. `answer` as LookupMx gave it.
HostPlan PlanHosts(std::string_view domain, const absl::StatusOr<dns::MailHosts>& answer,
                   std::string_view own_hostname, const Dice& dice);
// What a failed or empty address look-up means, for all hosts of a plan together. Pure.
RemoteOutcome NoAddress(std::string_view host, const absl::Status& worst);

using Targets = std::variant<std::vector<Target>, RemoteOutcome>;
struct Seeker {
  net::Loop& loop;
  dns::Resolver& resolver;
  std::string own_hostname;
  uint16_t port = 25;
};
// By the MX records of `domain`; "[192.0.2.1]" is that address.
net::Task<Targets> SeekMailHosts(Seeker seeker, std::string domain);
// Of a route.
net::Task<Targets> SeekRouteHosts(Seeker seeker, std::vector<HostPort> hosts);

}  // namespace posthorn::delivery_queue
