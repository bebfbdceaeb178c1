// The parts of an evaluation that need the client's own names, and explanations.

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/dns/records.h"
#include "spam-service/spf/evaluation.h"

namespace posthorn::spam_service {
namespace {

bool IsWithin(std::string_view name, std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (name.size() < domain.size()) return false;
  const std::string_view tail = name.substr(name.size() - domain.size());
  if (!base::EqualsIgnoreCase(tail, domain)) return false;
  return name.size() == domain.size() || name[name.size() - domain.size() - 1] == '.';
}

bool Holds(const std::vector<std::string>& addresses, const net::Address& client) {
  return std::ranges::any_of(addresses, [&client](const std::string& text) {
    const std::optional<net::Address> address = net::ParseAddress(text);
    return address && SamePrefix(*address, client, client.is_v4 ? 32 : 128);
  });
}

}  // namespace

// [RFC7208 5.5] failures here are no match, names beyond the tenth are ignored.
net::Task<std::vector<std::string>> SpfEvaluation::ValidatedNames() {
  if (validated_) co_return *validated_;
  validated_.emplace();
  const auto* bytes = values_.client.bytes.data();
  const std::string client = values_.client.is_v4 ? net::FormatV4(bytes) : net::FormatV6(bytes);
  const absl::StatusOr<dns::HostNames> found = co_await dns::LookupPtr(resolver_, client, Left());
  if (!found.ok()) co_return *validated_;
  ptr_outcome_ = found->outcome;
  for (size_t i = 0; i < std::min(found->names.size(), kSpfMaxHosts); ++i) {
    const std::string& name = found->names[i];
    const absl::StatusOr<dns::Addresses> addresses = co_await ClientFamily(name);
    if (addresses.ok() &&
        Holds(values_.client.is_v4 ? addresses->v4 : addresses->v6, values_.client))
      validated_->push_back(name);
  }
  co_return *validated_;
}

net::Task<SpfEvaluation::Match> SpfEvaluation::MatchesPtr(std::string target) {
  const bool first = !validated_;
  const std::vector<std::string> names = co_await ValidatedNames();
  if (first && !CountVoid(ptr_outcome_)) co_return Match::kError;
  const auto within = [&target](const std::string& name) { return IsWithin(name, target); };
  co_return std::ranges::any_of(names, within) ? Match::kYes : Match::kNo;
}

// [RFC7208 7.3] the domain itself, else one within it, else any, else "unknown".
net::Task<std::string> SpfEvaluation::ValidatedName(std::string domain) {
  const std::vector<std::string> names = co_await ValidatedNames();
  for (const std::string& name : names)
    if (base::EqualsIgnoreCase(name, domain)) co_return name;
  for (const std::string& name : names)
    if (IsWithin(name, domain)) co_return name;
  co_return names.empty() ? std::string("unknown") : names.front();
}

net::Task<std::string> SpfEvaluation::Target(std::string spec, std::string domain) {
  if (UsesValidatedName(spec)) values_.validated = co_await ValidatedName(domain);
  values_.domain = std::move(domain);
  co_return ExpandDomain(spec, values_);
}

// [RFC7208 6.2] any failure: no explanation.
net::Task<std::string> SpfEvaluation::Explain(std::string spec, std::string domain) {
  const std::string target = co_await Target(std::move(spec), domain);
  const absl::StatusOr<dns::Texts> found = co_await dns::LookupTxt(resolver_, target, Left());
  if (!found.ok() || found->texts.size() != 1) co_return std::string();
  const std::string& text = found->texts.front();
  if (UsesValidatedName(text)) values_.validated = co_await ValidatedName(domain);
  values_.domain = std::move(domain);
  const std::optional<std::string> expanded = ExpandText(text, values_);
  const auto printable = [](char c) { return c >= ' ' && c < 0x7f; };
  if (!expanded || !std::ranges::all_of(*expanded, printable)) co_return std::string();
  co_return *expanded;
}

}  // namespace posthorn::spam_service
