#pragma once

#include "lib/dns/resolver.h"
#include "spam-service/engine/breaker.h"

namespace posthorn::spam_service {

// A Resolver behind a breaker. Time-outs count as failures; every answer, a refusal too, shows that
// somebody lives.
class GuardedResolver : public dns::Resolver {
 public:
  // Both outlive this object and its questions.
  GuardedResolver(dns::Resolver& resolver, Breaker& breaker)
      : resolver_(resolver), breaker_(breaker) {}
  net::Task<absl::StatusOr<dns::Answer>> Query(std::string name, dns::Type type,
                                               std::chrono::milliseconds timeout) override;

 private:
  dns::Resolver& resolver_;
  Breaker& breaker_;
};

// kUnavailable because the breaker is open.
bool IsLeftAlone(const absl::Status& status);

}  // namespace posthorn::spam_service
