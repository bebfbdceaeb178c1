#include <set>

#include "lib/base/strings.h"
#include "store-service/directory/resolve.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {
namespace {

std::string DomainName(const Model& before, const Committed& committed, DomainId id) {
  for (const DomainRecord& domain : committed.delta.domains) {
    if (domain.id == id) return domain.name;
  }
  const DomainRecord* old = before.DomainById(id);
  return old != nullptr ? old->name : "";
}

void DescribeAccount(const Model& before, const Committed& committed, const AccountRecord& account,
                     std::vector<FeedChange>& out) {
  const AccountRecord* old = before.AccountById(account.id);
  FeedChange change;
  change.account = account.id;
  change.end_sessions = old != nullptr && account.session_revision > committed.since;
  if (old != nullptr) change.address = AddressOf(before, *old);
  out.push_back(change);
  if (account.deleting) return;
  const std::string address =
      base::StrCat(account.local, "@", DomainName(before, committed, account.domain));
  if (address == out.back().address) return;
  change.address = address;
  out.push_back(std::move(change));
}

void DescribeAddress(std::string address, std::vector<FeedChange>& out) {
  FeedChange change;
  change.address = std::move(address);
  out.push_back(std::move(change));
}

void DescribeNames(const DomainRecord& domain, std::vector<FeedChange>& out) {
  FeedChange change;
  change.domain = domain.id;
  change.domain_name = domain.name;
  out.push_back(change);
  for (const std::string& name : domain.alias_names) {
    change.domain_name = name;
    out.push_back(change);
  }
}

void DescribeDomain(const Model& before, const Committed& committed, const DomainRecord& domain,
                    std::vector<FeedChange>& out) {
  const DomainRecord* old = before.DomainById(domain.id);
  if (old != nullptr) DescribeNames(*old, out);
  DescribeNames(domain, out);
  if (old == nullptr || domain.session_revision <= committed.since) return;
  for (const base::AccountId account : before.AccountsOf(domain.id)) {
    FeedChange change;
    change.account = account;
    change.end_sessions = true;
    out.push_back(std::move(change));
  }
}

// Of what came and went between two looks nothing is left to describe, but somebody may have been
// told of it by another replica.
void DescribeNames(const std::vector<std::string>& names, std::vector<FeedChange>& out) {
  std::set<std::string_view> told;
  for (const FeedChange& change : out) told.insert({change.address, change.domain_name});
  std::vector<FeedChange> more;
  for (const std::string& name : names) {
    if (!told.insert(name).second) continue;
    FeedChange change;
    (name.find('@') != std::string::npos ? change.address : change.domain_name) = name;
    more.push_back(std::move(change));
  }
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace

std::vector<FeedChange> DescribeChanges(const Model& before, const Committed& committed) {
  std::vector<FeedChange> out;
  const DirectoryDelta& delta = committed.delta;
  for (const DomainRecord& domain : delta.domains) DescribeDomain(before, committed, domain, out);
  for (const DomainId id : delta.removed_domains) {
    if (const DomainRecord* old = before.DomainById(id)) DescribeNames(*old, out);
  }
  for (const AccountRecord& account : delta.accounts)
    DescribeAccount(before, committed, account, out);
  for (const AliasRecord& alias : delta.aliases) {
    if (const AliasRecord* old = before.AliasById(alias.id)) {
      DescribeAddress(base::StrCat(old->local, "@", DomainName(before, committed, old->domain)),
                      out);
    }
    DescribeAddress(base::StrCat(alias.local, "@", DomainName(before, committed, alias.domain)),
                    out);
  }
  for (const AliasId id : delta.removed_aliases) {
    const AliasRecord* old = before.AliasById(id);
    if (old != nullptr)
      DescribeAddress(base::StrCat(old->local, "@", DomainName(before, committed, old->domain)),
                      out);
  }
  DescribeNames(committed.names, out);
  for (FeedChange& change : out) change.revision = committed.revision;
  return out;
}

}  // namespace posthorn::store_service
