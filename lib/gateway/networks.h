#pragma once

// What the configuration says of a client's address. Pure once built; made anew at each configuration swap.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::config {
class Snapshot;
}

namespace posthorn::gateway {

// Our name in greetings and trace headers: Settings.hostname, else this machine's.
std::string Hostname(const config::Snapshot& snapshot);

struct NetworkRights {
  bool trusted = false;  // some TrustedNetwork names it
  bool may_relay = false;
  bool plaintext_login = false;
  bool skip_spam_checks = false;
  bool never_limited = false;
};

class Networks {
 public:
  Networks() = default;
  explicit Networks(const config::Snapshot& snapshot);
  // The rights of the most specific network that holds `address`; none when no network does.
  NetworkRights Of(std::string_view address) const;
  // CIDRs that no limit applies to, for net::ListenerOptions.
  std::vector<std::string> NeverLimited() const;

 private:
  struct Network {
    std::string cidr;
    int prefix = 0;
    NetworkRights rights;
  };
  std::vector<Network> networks_;  // most specific first
};

}  // namespace posthorn::gateway
