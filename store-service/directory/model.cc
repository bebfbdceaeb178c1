#include "store-service/directory/model.h"

#include <cstring>
#include <iterator>
#include <mutex>
#include <unordered_set>

#include "lib/base/strings.h"
#include "store-service/directory/resolve.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kMaxAddresses = 1000;

std::string Key(DomainId domain, std::string_view local) {
  std::string key(sizeof(domain) + local.size(), '\0');
  std::memcpy(key.data(), &domain, sizeof(domain));
  std::memcpy(key.data() + sizeof(domain), local.data(), local.size());
  return key;
}

}  // namespace

void Model::Apply(const DirectoryDelta& delta, uint64_t revision) {
  const std::unique_lock lock(mutex_);
  Show(delta);
  revision_ = revision;
}

void Model::Replace(const DirectoryDelta& all, uint64_t revision) {
  const std::unique_lock lock(mutex_);
  domains_.clear();
  domain_names_.clear();
  addresses_.clear();
  accounts_.clear();
  aliases_.clear();
  by_target_.clear();
  Show(all);
  revision_ = revision;
}

net::Task<absl::Status> Model::CatchUp() const {
  if (catch_up_) co_return co_await catch_up_();
  co_return absl::OkStatus();
}

void Model::Show(const DirectoryDelta& delta) {
  // What goes makes room for what comes: names may move between objects in one commit.
  for (const AccountRecord& account : delta.accounts) {
    if (account.deleting) PutAccount(account);
  }
  for (const AliasId alias : delta.removed_aliases) RemoveAlias(alias);
  for (const DomainId domain : delta.removed_domains) RemoveDomain(domain);
  for (const DomainRecord& domain : delta.domains) RemoveDomain(domain.id);
  for (const DomainRecord& domain : delta.domains) PutDomain(domain);
  for (const AliasRecord& alias : delta.aliases) RemoveAlias(alias.id);
  for (const AccountRecord& account : delta.accounts) {
    const auto old = accounts_.find(account.id);
    if (old != accounts_.end()) addresses_.erase(Key(old->second.domain, old->second.local));
  }
  for (const AccountRecord& account : delta.accounts) {
    if (!account.deleting) PutAccount(account);
  }
  for (const AliasRecord& alias : delta.aliases) PutAlias(alias);
}

void Model::Forget(base::AccountId account) {
  const std::unique_lock lock(mutex_);
  accounts_.erase(account);
}

void Model::PutDomain(const DomainRecord& record) {
  domain_names_[record.name] = record.id;
  for (const std::string& name : record.alias_names) domain_names_[name] = record.id;
  domains_[record.id] = record;
}

void Model::RemoveDomain(DomainId id) {
  const auto old = domains_.find(id);
  if (old == domains_.end()) return;
  domain_names_.erase(old->second.name);
  for (const std::string& name : old->second.alias_names) domain_names_.erase(name);
  domains_.erase(old);
}

void Model::PutAccount(const AccountRecord& record) {
  AccountRecord& kept = accounts_[record.id];
  if (!record.deleting) {
    kept = record;
    addresses_[Key(record.domain, record.local)] = {AddressType::kAccount, record.id};
    return;
  }
  if (kept.id != 0) addresses_.erase(Key(kept.domain, kept.local));
  kept = record;
}

void Model::PutAlias(const AliasRecord& record) {
  addresses_[Key(record.domain, record.local)] = {AddressType::kAlias, record.id};
  for (const std::string& target : record.targets) by_target_.emplace(target, record.id);
  aliases_[record.id] = record;
}

void Model::RemoveAlias(AliasId id) {
  const auto old = aliases_.find(id);
  if (old == aliases_.end()) return;
  addresses_.erase(Key(old->second.domain, old->second.local));
  for (const std::string& target : old->second.targets) {
    auto [entry, last] = by_target_.equal_range(target);
    while (entry != last) entry = entry->second == id ? by_target_.erase(entry) : std::next(entry);
  }
  aliases_.erase(old);
}

const DomainRecord* Model::FindDomain(std::string_view name) const {
  const auto found = domain_names_.find(name);
  return found == domain_names_.end() ? nullptr : DomainById(found->second);
}

const DomainRecord* Model::DomainById(DomainId id) const {
  const auto found = domains_.find(id);
  return found == domains_.end() ? nullptr : &found->second;
}

Lookups::Found Model::FindAddress(DomainId domain, std::string_view local) const {
  const auto found = addresses_.find(Key(domain, local));
  if (found == addresses_.end()) return {};
  if (found->second.type == AddressType::kAccount) {
    const auto account = accounts_.find(found->second.id);
    return {.account = account == accounts_.end() ? nullptr : &account->second};
  }
  const auto alias = aliases_.find(found->second.id);
  return {.alias = alias == aliases_.end() ? nullptr : &alias->second};
}

const AccountRecord* Model::AccountById(base::AccountId account) const {
  const auto found = accounts_.find(account);
  return found == accounts_.end() ? nullptr : &found->second;
}

const AliasRecord* Model::AliasById(AliasId alias) const {
  const auto found = aliases_.find(alias);
  return found == aliases_.end() ? nullptr : &found->second;
}

AccountFacts Model::Facts(base::AccountId account) const {
  const std::shared_lock lock(mutex_);
  const AccountRecord* record = AccountById(account);
  if (record == nullptr) return {.revision = revision_};
  if (record->deleting)
    return {.state = AccountState::kDeleting,
            .session_version = record->session_revision,
            .revision = revision_};
  const DomainRecord* domain = DomainById(record->domain);
  const bool enabled = record->enabled && domain != nullptr && domain->enabled;
  const uint64_t of_domain = domain != nullptr ? domain->session_revision : 0;
  return {.state = enabled ? AccountState::kActive : AccountState::kDisabled,
          .quota = record->quota,
          .session_version = record->session_revision + of_domain,
          .revision = revision_};
}

uint64_t Model::VersionOf(base::AccountId account) const {
  const AccountRecord* record = AccountById(account);
  if (record == nullptr) return 0;
  const DomainRecord* domain = DomainById(record->domain);
  // Both only grow, so their sum changes with each of them.
  return record->revision + (domain != nullptr ? domain->revision : 0);
}

void Model::AddNames(std::string_view local, const DomainRecord& domain,
                     std::vector<std::string>& out) const {
  out.push_back(base::StrCat(local, "@", domain.name));
  for (const std::string& name : domain.alias_names) out.push_back(base::StrCat(local, "@", name));
}

std::vector<std::string> Model::AddressesOf(const AccountRecord& account) const {
  std::vector<std::string> all;
  const DomainRecord* domain = DomainById(account.domain);
  if (domain == nullptr) return all;
  AddNames(account.local, *domain, all);
  std::unordered_set<AliasId> seen;
  for (size_t i = 0; i < all.size() && all.size() < kMaxAddresses; ++i) {
    // A copy: `all` grows.
    const std::string target = all[i];
    const auto [first, last] = by_target_.equal_range(target);
    for (auto entry = first; entry != last; ++entry) {
      const AliasRecord& alias = aliases_.at(entry->second);
      const DomainRecord* of_alias = DomainById(alias.domain);
      if (!alias.enabled || of_alias == nullptr || !seen.insert(alias.id).second) continue;
      AddNames(alias.local, *of_alias, all);
    }
  }
  if (all.size() > kMaxAddresses) all.resize(kMaxAddresses);
  return all;
}

void Model::ForEachAccount(const std::function<void(const AccountRecord&)>& visit) const {
  for (const auto& [id, account] : accounts_) visit(account);
}

std::vector<std::string> Model::Postmasters(DomainId domain) const {
  const AccountRecord* oldest = nullptr;
  const AccountRecord* oldest_there = nullptr;
  for (const auto& [id, account] : accounts_) {
    if (account.deleting || !account.enabled) continue;
    if (oldest == nullptr || id < oldest->id) oldest = &account;
    if (account.domain == domain && (oldest_there == nullptr || id < oldest_there->id))
      oldest_there = &account;
  }
  std::vector<std::string> addresses;
  if (!postmaster_.empty()) addresses.push_back(postmaster_);
  for (const AccountRecord* account : {oldest_there, oldest})
    if (account != nullptr) addresses.push_back(AddressOf(*this, *account));
  return addresses;
}

std::vector<base::AccountId> Model::AccountsOf(DomainId domain) const {
  std::vector<base::AccountId> all;
  for (const auto& [id, account] : accounts_) {
    if (account.domain == domain && !account.deleting) all.push_back(id);
  }
  return all;
}

}  // namespace posthorn::store_service
