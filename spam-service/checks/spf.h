#pragma once

// The test "spf": does the sender's domain let this client send? [RFC7208]

#include "lib/dns/resolver.h"
#include "spam-service/engine/test.h"
#include "spam-service/spf/check.h"

namespace posthorn::spam_service {

// Domains that publish -all mean it; ~all is a hint. An error in a record is its owner's, and
// rarely spam.
double SpfScore(SpfResult result);

// [RFC8601 2.7.2] "spf=pass smtp.mailfrom=user@example.com", or smtp.helo for the null sender.
std::string SpfAuthenticationResult(SpfResult result, const Envelope& envelope);

// `resolver` outlives it.
std::shared_ptr<EnvelopeTest> NewSpfTest(dns::Resolver& resolver);

}  // namespace posthorn::spam_service
