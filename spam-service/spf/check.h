#pragma once

// check_host() of [RFC7208 4]: does the domain's record let this client send for it?

#include <chrono>
#include <string>

#include "lib/dns/resolver.h"
#include "lib/net/task.h"
#include "spam-service/spf/record.h"

namespace posthorn::spam_service {

struct SpfQuestion {
  net::Address client;
  std::string helo;
  std::string sender;    // MAIL FROM; empty: the null sender, whose identity is HELO
  std::string receiver;  // our host name
};

struct SpfAnswer {
  SpfResult result = SpfResult::kNone;
  // Who was asked for: the sender's domain, or HELO's.
  std::string domain;
  // What decided: "-all", or the error. For the operator.
  std::string reason;
  // [RFC7208 6.2] the domain's own words after fail; text of a stranger, ASCII. Empty: none.
  std::string explanation;
  // temperror because the time was over.
  bool timed_out = false;
};

// [RFC7208 4.6.4]
inline constexpr int kSpfMaxLookups = 10;
inline constexpr int kSpfMaxVoidLookups = 2;
inline constexpr size_t kSpfMaxHosts = 10;  // of one mx, or names of one ptr

// Never fails: DNS failures are temperror. Ends by `deadline`. `resolver` outlives the task.
net::Task<SpfAnswer> CheckSpf(dns::Resolver& resolver, SpfQuestion question,
                              std::chrono::steady_clock::time_point deadline);

}  // namespace posthorn::spam_service
