#pragma once

// Which tests there are, by configuration. A new test is added in the .cc file.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "spam-service/engine/breaker.h"
#include "spam-service/engine/engine.h"
#include "spam-service/engine/guarded_resolver.h"

namespace posthorn::config {
class Snapshot;
}

namespace posthorn::spam_service {

class Tests {
 public:
  // `resolver` outlives it and all sets it made.
  explicit Tests(dns::Resolver& resolver);
  // Breakers of lists that stay keep their state.
  std::shared_ptr<const TestSet> Build(const config::Snapshot& snapshot);

 private:
  std::shared_ptr<Breaker> ListBreaker(const std::string& zone);

  Breaker dns_breaker_;
  GuardedResolver resolver_;
  std::map<std::string, std::shared_ptr<Breaker>> list_breakers_;  // by zone
};

// CIDRs of the networks the operator trusts.
std::vector<std::string> TrustedNetworks(const config::Snapshot& snapshot);

}  // namespace posthorn::spam_service
