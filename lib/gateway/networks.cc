#include "lib/gateway/networks.h"

#include <unistd.h>

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/network.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::gateway {
namespace {

int PrefixOf(std::string_view cidr) {
  const size_t slash = cidr.find('/');
  if (slash == std::string_view::npos) return 128;
  return base::ParseInt<int>(cidr.substr(slash + 1)).value_or(0);
}

}  // namespace

std::string Hostname(const config::Snapshot& snapshot) {
  const std::string& configured = snapshot.Get<config::v1::Settings>().hostname();
  if (!configured.empty()) return configured;
  char name[256] = "localhost";
  gethostname(name, sizeof(name) - 1);
  return name;
}

Networks::Networks(const config::Snapshot& snapshot) {
  for (const auto& object : snapshot.All<config::v1::TrustedNetwork>()) {
    const auto& kind = static_cast<const config::v1::TrustedNetwork&>(*object);
    networks_.push_back({kind.network(), PrefixOf(kind.network()),
                         {true, kind.may_relay(), kind.plaintext_login(), kind.skip_spam_checks(),
                          kind.never_limited()}});
  }
  std::stable_sort(networks_.begin(), networks_.end(),
                   [](const Network& a, const Network& b) { return a.prefix > b.prefix; });
}

NetworkRights Networks::Of(std::string_view address) const {
  for (const Network& network : networks_)
    if (net::InNetwork(address, network.cidr)) return network.rights;
  return {};
}

std::vector<std::string> Networks::NeverLimited() const {
  std::vector<std::string> cidrs;
  for (const Network& network : networks_)
    if (network.rights.never_limited) cidrs.push_back(network.cidr);
  return cidrs;
}

}  // namespace posthorn::gateway
