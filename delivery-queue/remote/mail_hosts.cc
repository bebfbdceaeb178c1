#include "delivery-queue/remote/mail_hosts.h"

#include <algorithm>
#include <random>

#include "delivery-queue/remote/outcome.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"

namespace posthorn::delivery_queue {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  if (a.ends_with('.')) a.remove_suffix(1);
  if (b.ends_with('.')) b.remove_suffix(1);
  return base::EqualsIgnoreCase(a, b);
}

size_t RollDice(size_t limit) {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_int_distribution<size_t>(0, limit - 1)(generator);
}

// [RFC5321 5.1] equal preferences are tried in random order, to spread the load.
void ShuffleEquals(std::vector<dns::MxHost>& hosts, const Dice& dice) {
  for (size_t begin = 0; begin < hosts.size();) {
    size_t end = begin + 1;
    while (end < hosts.size() && hosts[end].preference == hosts[begin].preference) ++end;
    for (size_t left = end - begin; left > 1; --left)
      std::swap(hosts[begin + left - 1], hosts[begin + dice(left)]);
    begin = end;
  }
}

// "[192.0.2.1]", "[IPv6:2001:db8::1]"
std::string LiteralAddress(std::string_view domain) {
  std::string_view inside = domain.substr(1, domain.size() - 2);
  if (base::StartsWithIgnoreCase(inside, "ipv6:")) inside.remove_prefix(5);
  return std::string(inside);
}

// Appends the addresses of one host; what went wrong otherwise.
net::Task<absl::Status> AddAddresses(Seeker seeker, HostPort host, std::vector<Target>& targets) {
  const uint16_t port = host.port == 0 ? seeker.port : host.port;
  if (net::ParseAddress(host.host)) {
    targets.push_back({host.host, host.host, port});
    co_return absl::OkStatus();
  }
  const absl::StatusOr<dns::Addresses> found =
      co_await dns::LookupAddresses(seeker.loop, seeker.resolver, host.host);
  if (!found.ok()) co_return found.status();
  // IPv4 first: mail servers are judged by their IPv4 address's reputation more often than not.
  for (const std::string& address : found->v4) targets.push_back({host.host, address, port});
  for (const std::string& address : found->v6) targets.push_back({host.host, address, port});
  if (found->v4.empty() && found->v6.empty()) co_return base::NotFound("no address");
  co_return absl::OkStatus();
}

net::Task<Targets> Addresses(Seeker seeker, std::vector<HostPort> hosts, std::string domain) {
  std::vector<Target> targets;
  absl::Status worst;
  if (hosts.size() > kMaxHostsTried) hosts.resize(kMaxHostsTried);
  for (const HostPort& host : hosts) {
    absl::Status status = co_await AddAddresses(seeker, host, targets);
    // A host that may have an address later outweighs those that have none.
    if (!status.ok() && (worst.ok() || absl::IsNotFound(worst))) worst = std::move(status);
  }
  if (targets.empty()) co_return Targets(NoAddress(domain, worst));
  co_return Targets(std::move(targets));
}

}  // namespace

HostPlan PlanHosts(std::string_view domain, const absl::StatusOr<dns::MailHosts>& answer,
                   std::string_view own_hostname, const Dice& dice) {
  if (absl::IsInvalidArgument(answer.status()))
    return Failed("5.1.2", base::StrCat("550 5.1.2 ", domain, " is not a domain name"));
  if (!answer.ok())
    return Deferred("4.4.3", base::StrCat("451 4.4.3 DNS does not tell who takes mail for ", domain,
                                          ": ", base::Message(answer.status())));
  if (answer->outcome == dns::Outcome::kNxDomain)
    return Failed("5.1.2", base::StrCat("550 5.1.2 There is no domain ", domain));
  // [RFC7505 4.1]
  if (answer->null_mx)
    return Failed("5.1.10", base::StrCat("556 5.1.10 ", domain, " takes no mail"));
  if (answer->hosts.empty()) return std::vector<std::string>{std::string(domain)};
  std::vector<dns::MxHost> hosts = answer->hosts;
  std::ranges::stable_sort(hosts, {}, &dns::MxHost::preference);
  // [RFC5321 5.1] when we are listed, only better hosts count; otherwise mail would run in circles.
  const auto own = std::ranges::find_if(
      hosts, [&](const dns::MxHost& host) { return SameName(host.name, own_hostname); });
  if (own != hosts.end()) {
    const uint16_t limit = own->preference;
    std::erase_if(hosts, [&](const dns::MxHost& host) { return host.preference >= limit; });
  }
  if (hosts.empty())
    return Failed("5.4.6", base::StrCat("554 5.4.6 Mail for ", domain, " leads back to this host"));
  ShuffleEquals(hosts, dice);
  std::vector<std::string> names;
  for (dns::MxHost& host : hosts) names.push_back(std::move(host.name));
  return names;
}

RemoteOutcome NoAddress(std::string_view host, const absl::Status& worst) {
  if (absl::IsNotFound(worst) || absl::IsInvalidArgument(worst))
    return Failed("5.4.4",
                  base::StrCat("550 5.4.4 No host that takes mail for ", host, " has an address"));
  return Deferred("4.4.3", base::StrCat("451 4.4.3 DNS does not tell the address of the host for ",
                                        host, ": ", base::Message(worst)));
}

net::Task<Targets> SeekMailHosts(Seeker seeker, std::string domain) {
  if (domain.starts_with('[')) {
    const std::string address = LiteralAddress(domain);
    if (!net::ParseAddress(address))
      co_return Targets(Failed("5.1.2", base::StrCat("550 5.1.2 ", domain, " is not an address")));
    co_return Targets(std::vector<Target>{{domain, address, seeker.port}});
  }
  const absl::StatusOr<dns::MailHosts> answer = co_await dns::LookupMx(seeker.resolver, domain);
  HostPlan plan = PlanHosts(domain, answer, seeker.own_hostname, RollDice);
  if (auto* failure = std::get_if<RemoteOutcome>(&plan)) co_return Targets(std::move(*failure));
  std::vector<HostPort> hosts;
  for (std::string& name : std::get<std::vector<std::string>>(plan))
    hosts.push_back({std::move(name), 0});
  co_return co_await Addresses(std::move(seeker), std::move(hosts), std::move(domain));
}

net::Task<Targets> SeekRouteHosts(Seeker seeker, std::vector<HostPort> hosts) {
  std::string first = hosts.empty() ? std::string() : hosts.front().host;
  Targets targets = co_await Addresses(std::move(seeker), std::move(hosts), std::move(first));
  // A route is the operator's word: what is wrong with it is to be mended, no reason to return
  // mail.
  if (auto* failure = std::get_if<RemoteOutcome>(&targets);
      failure && failure->kind == RemoteOutcome::Kind::kFailed)
    co_return Targets(Deferred("4.4.4", failure->reply));
  co_return std::move(targets);
}

}  // namespace posthorn::delivery_queue
