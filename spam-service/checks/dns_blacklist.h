#pragma once

// The tests "dnsbl.<zone>": is the client's address on a list? [RFC5782]

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/dns/resolver.h"
#include "spam-service/engine/breaker.h"
#include "spam-service/engine/test.h"

namespace posthorn::spam_service {

struct DnsBlacklist {
  std::string zone;
  double score = 3;
  std::vector<std::string> answers;  // "127.0.0.*"; empty: all of 127.0.0.0/8
  std::string reason;                // for the client; empty: a standard one
};

// True when `address` counts as "listed". 127.255.255.0/24 never does: lists answer so to clients
// they do not serve.
bool IsListing(std::string_view address, const std::vector<std::string>& patterns);

// `resolver` outlives it.
std::shared_ptr<EnvelopeTest> NewDnsBlacklistTest(dns::Resolver& resolver,
                                                  std::shared_ptr<Breaker> breaker,
                                                  DnsBlacklist list);

}  // namespace posthorn::spam_service
