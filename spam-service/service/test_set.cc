#include "spam-service/service/test_set.h"

#include "lib/config/snapshot.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "spam-service/checks/dns_blacklist.h"
#include "spam-service/checks/gtube.h"
#include "spam-service/checks/spf.h"

namespace posthorn::spam_service {
namespace {

// One list that keeps silent is noticed soon. The resolver as a whole only after many time-outs
// without any answer between them: a sender can make his own domain's servers silent.
constexpr Breaker::Rules kListRules{5, std::chrono::milliseconds(30000)};
constexpr Breaker::Rules kResolverRules{20, std::chrono::milliseconds(10000)};

}  // namespace

Tests::Tests(dns::Resolver& resolver)
    : dns_breaker_("dns", kResolverRules), resolver_(resolver, dns_breaker_) {}

std::shared_ptr<Breaker> Tests::ListBreaker(const std::string& zone) {
  std::shared_ptr<Breaker>& breaker = list_breakers_[zone];
  if (!breaker) breaker = std::make_shared<Breaker>("dnsbl", kListRules);
  return breaker;
}

std::shared_ptr<const TestSet> Tests::Build(const config::Snapshot& snapshot) {
  const auto& settings = snapshot.Get<config::v1::Settings>();
  auto tests = std::make_shared<TestSet>();
  tests->thresholds = {settings.spam_mark_score(), settings.spam_reject_score()};
  tests->deadline = std::chrono::seconds(settings.spam_deadline());
  tests->envelope.push_back(NewSpfTest(resolver_));
  std::map<std::string, std::shared_ptr<Breaker>> kept;
  for (const auto& object : snapshot.All<config::v1::DnsBlacklist>()) {
    const auto& list = static_cast<const config::v1::DnsBlacklist&>(*object);
    if (!list.enabled()) continue;
    kept[list.zone()] = ListBreaker(list.zone());
    tests->envelope.push_back(NewDnsBlacklistTest(resolver_, kept[list.zone()],
                                                  {list.zone(),
                                                   list.score(),
                                                   {list.answers().begin(), list.answers().end()},
                                                   list.reason()}));
  }
  list_breakers_ = std::move(kept);
  tests->message.push_back(NewGtubeTest());
  return tests;
}

std::vector<std::string> TrustedNetworks(const config::Snapshot& snapshot) {
  std::vector<std::string> networks;
  for (const auto& object : snapshot.All<config::v1::TrustedNetwork>())
    networks.push_back(static_cast<const config::v1::TrustedNetwork&>(*object).network());
  return networks;
}

}  // namespace posthorn::spam_service
