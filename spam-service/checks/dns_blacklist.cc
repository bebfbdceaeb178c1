#include "spam-service/checks/dns_blacklist.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/dns/lookup.h"
#include "spam-service/engine/guarded_resolver.h"

namespace posthorn::spam_service {
namespace {

// "*" stands for any run of characters.
bool MatchesPattern(std::string_view text, std::string_view pattern) {
  size_t t = 0, p = 0;
  size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

constexpr std::string_view kErrorCodes = "127.255.255.0/24";

class DnsBlacklistTest : public EnvelopeTest {
 public:
  DnsBlacklistTest(dns::Resolver& resolver, std::shared_ptr<Breaker> breaker, DnsBlacklist list)
      : breaker_(std::move(breaker)),
        resolver_(resolver, *breaker_),
        list_(std::move(list)),
        name_(base::StrCat("dnsbl.", list_.zone)) {}

  std::string_view name() const override { return name_; }
  std::string_view kind() const override { return "dnsbl"; }
  bool AppliesTo(const Envelope& envelope) const override {
    return envelope.remote && !envelope.trusted;
  }

  net::Task<std::optional<Finding>> Run(std::shared_ptr<const Envelope> envelope,
                                        Deadline deadline) override {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const std::string name = base::StrCat(*dns::ReversedLabels(envelope->client), ".", list_.zone);
    const absl::StatusOr<dns::Addresses> found = co_await dns::LookupV4(resolver_, name, left);
    if (!found.ok()) co_return Skipped(base::Message(found.status()));
    const auto listing = [this](const std::string& address) {
      return IsListing(address, list_.answers);
    };
    const auto hit = std::ranges::find_if(found->v4, listing);
    if (hit != found->v4.end()) co_return Listed(*envelope, *hit);
    const auto error = [](const std::string& address) {
      return net::InNetwork(address, kErrorCodes);
    };
    if (std::ranges::any_of(found->v4, error)) co_return Skipped("the list refuses to answer us");
    co_return std::nullopt;
  }

 private:
  std::optional<Finding> Skipped(std::string_view why) const {
    Finding finding;
    finding.name = name_;
    finding.reason = base::StrCat("not asked: ", why);
    finding.skipped = true;
    return finding;
  }
  std::optional<Finding> Listed(const Envelope& envelope, std::string_view answer) const {
    Finding finding;
    finding.name = name_;
    finding.score = list_.score;
    finding.reason = base::StrCat(envelope.client, " is listed (", answer, ")");
    finding.public_text = list_.reason;
    if (list_.reason.empty())
      finding.public_text = base::StrCat(envelope.client, " is listed by ", list_.zone);
    return finding;
  }

  std::shared_ptr<Breaker> breaker_;
  GuardedResolver resolver_;
  const DnsBlacklist list_;
  const std::string name_;
};

}  // namespace

bool IsListing(std::string_view address, const std::vector<std::string>& patterns) {
  if (!net::InNetwork(address, "127.0.0.0/8") || net::InNetwork(address, kErrorCodes)) return false;
  return patterns.empty() || std::ranges::any_of(patterns, [address](const std::string& pattern) {
           return MatchesPattern(address, pattern);
         });
}

std::shared_ptr<EnvelopeTest> NewDnsBlacklistTest(dns::Resolver& resolver,
                                                  std::shared_ptr<Breaker> breaker,
                                                  DnsBlacklist list) {
  return std::make_shared<DnsBlacklistTest>(resolver, std::move(breaker), std::move(list));
}

}  // namespace posthorn::spam_service
