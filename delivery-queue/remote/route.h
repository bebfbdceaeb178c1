#pragma once

// Which next hop a domain has: a configured route or its own mail exchangers. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::delivery_queue {

enum class Security {
  kNone,           // never
  kOpportunistic,  // STARTTLS when offered; in clear when the handshake fails
  kRequired,       // STARTTLS or nothing
  kImplicit,       // from the first byte
};

struct HostPort {
  std::string host;   // name or numeric address, without brackets
  uint16_t port = 0;  // 0: Settings.smtp_port
  bool operator==(const HostPort&) const = default;
};
// "host", "host:25", "192.0.2.1:25", "[2001:db8::1]:25", "2001:db8::1".
HostPort ParseHostPort(std::string_view text);

// One Route object of the configuration.
struct Route {
  std::string domain;  // pattern, lower case
  std::vector<HostPort> hosts;
  std::string user, password;
  Security security = Security::kOpportunistic;
  // The certificate must be valid for the host's name; then encryption is never optional.
  bool verify = false;
};

// `*` stands for any characters, `?` for one; no case. Takes time in the product of the lengths at
// worst.
bool MatchesPattern(std::string_view pattern, std::string_view text);
// The route for `domain` (lower case), or null. An exact name wins over patterns, then the pattern
// with the most literal characters, then the first in order; so `*` comes last.
const Route* FindRoute(const std::vector<Route>& routes, std::string_view domain);

}  // namespace posthorn::delivery_queue
