#include "lib/dns/lookup.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"

namespace posthorn::dns {
namespace {

using std::chrono::milliseconds;

// All records of an answer that `decode` understands.
template <class T>
std::vector<T> Decode(const Answer& answer, std::optional<T> (*decode)(std::string_view)) {
  std::vector<T> out;
  for (const std::string& record : answer.records)
    if (std::optional<T> value = decode(record)) out.push_back(*std::move(value));
  return out;
}

std::optional<std::string> HostName(std::string_view data) { return NameFromData(data); }

net::Task<void> AskInto(Resolver* resolver, std::string name, Type type, milliseconds timeout,
                        net::Promise<absl::StatusOr<Answer>> promise) {
  promise.Set(co_await resolver->Query(std::move(name), type, timeout));
}

// What both families together say: found beats no data beats no such name.
Outcome Joined(Outcome a, Outcome b) {
  if (a == Outcome::kFound || b == Outcome::kFound) return Outcome::kFound;
  if (a == Outcome::kNoData || b == Outcome::kNoData) return Outcome::kNoData;
  return Outcome::kNxDomain;
}

}  // namespace

net::Task<absl::StatusOr<Addresses>> LookupAddresses(net::Loop& loop, Resolver& resolver,
                                                     std::string name, milliseconds timeout) {
  net::Promise<absl::StatusOr<Answer>> promise(loop);
  loop.Spawn("dns.v4", AskInto(&resolver, name, Type::kA, timeout, promise));
  absl::StatusOr<Addresses> v6 = co_await LookupV6(resolver, std::move(name), timeout);
  absl::StatusOr<Answer> v4 = co_await promise.Get();
  Addresses result;
  if (v4.ok()) result = {v4->outcome, v4->secure, Decode(*v4, AddressFromData), {}};
  if (v6.ok()) {
    result.outcome = v4.ok() ? Joined(result.outcome, v6->outcome) : v6->outcome;
    result.secure = (!v4.ok() || result.secure) && v6->secure;
    result.v6 = std::move(v6->v6);
  }
  if (result.v4.empty() && result.v6.empty()) {
    CO_RETURN_IF_ERROR(v4.status());
    CO_RETURN_IF_ERROR(v6.status());
  }
  co_return result;
}

net::Task<absl::StatusOr<Addresses>> LookupV4(Resolver& resolver, std::string name,
                                              milliseconds timeout) {
  CO_ASSIGN_OR_RETURN(const Answer answer,
                      co_await resolver.Query(std::move(name), Type::kA, timeout));
  co_return Addresses{answer.outcome, answer.secure, Decode(answer, AddressFromData), {}};
}

net::Task<absl::StatusOr<Addresses>> LookupV6(Resolver& resolver, std::string name,
                                              milliseconds timeout) {
  CO_ASSIGN_OR_RETURN(const Answer answer,
                      co_await resolver.Query(std::move(name), Type::kAaaa, timeout));
  co_return Addresses{answer.outcome, answer.secure, {}, Decode(answer, AddressFromData)};
}

net::Task<absl::StatusOr<MailHosts>> LookupMx(Resolver& resolver, std::string domain,
                                              milliseconds timeout) {
  CO_ASSIGN_OR_RETURN(const Answer answer,
                      co_await resolver.Query(std::move(domain), Type::kMx, timeout));
  MailHosts result{answer.outcome, answer.secure, false, Decode(answer, MxFromData)};
  result.null_mx = result.hosts.size() == 1 && result.hosts.front().name.empty();
  std::erase_if(result.hosts, [](const MxHost& host) { return host.name.empty(); });
  std::ranges::stable_sort(result.hosts, {}, &MxHost::preference);
  co_return result;
}

net::Task<absl::StatusOr<Texts>> LookupTxt(Resolver& resolver, std::string name,
                                           milliseconds timeout) {
  CO_ASSIGN_OR_RETURN(const Answer answer,
                      co_await resolver.Query(std::move(name), Type::kTxt, timeout));
  co_return Texts{answer.outcome, answer.secure, Decode(answer, TextFromData)};
}

net::Task<absl::StatusOr<HostNames>> LookupPtr(Resolver& resolver, std::string address,
                                               milliseconds timeout) {
  std::optional<std::string> name = ReverseName(address);
  if (!name) co_return base::Invalid("not a numeric address");
  CO_ASSIGN_OR_RETURN(const Answer answer,
                      co_await resolver.Query(*std::move(name), Type::kPtr, timeout));
  co_return HostNames{answer.outcome, answer.secure, Decode(answer, HostName)};
}

}  // namespace posthorn::dns
