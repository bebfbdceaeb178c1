#pragma once

// The whole directory in memory: about 250 bytes an account. Written and looked up on the store's
// loop; Facts() from any thread. Invariants:
//  1. It shows exactly the committed state of directory.db, in order of commits; other replicas'
//  are shown a moment later.
//  2. An account that is being deleted has no address any more, but is known until its mail is
//  gone.

#include <functional>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store-service/directory/accounts.h"
#include "store-service/directory/lookups.h"

namespace posthorn::store_service {

class Model final : public Lookups, public Accounts {
 public:
  // `revision`: the head with this delta.
  void Apply(const DirectoryDelta& delta, uint64_t revision);
  // Forgets everything first.
  void Replace(const DirectoryDelta& all, uint64_t revision);
  uint64_t revision() const { return revision_; }
  // The mail of a deleted account is gone.
  void Forget(base::AccountId account);

  const DomainRecord* FindDomain(std::string_view name) const override;
  const DomainRecord* DomainById(DomainId id) const override;
  Found FindAddress(DomainId domain, std::string_view local) const override;
  // The configured one, the domain's oldest account, the oldest of all.
  std::vector<std::string> Postmasters(DomainId domain) const override;
  void SetCatchUp(std::function<net::Task<absl::Status>()> work) { catch_up_ = std::move(work); }
  void SetPostmaster(std::string address) { postmaster_ = std::move(address); }
  AccountFacts Facts(base::AccountId account) const override;
  net::Task<absl::Status> CatchUp() const override;
  const AccountRecord* AccountById(base::AccountId account) const;
  const AliasRecord* AliasById(AliasId alias) const;

  // Bumped by every change of the account or its domain; 0: no such account.
  uint64_t VersionOf(base::AccountId account) const;
  // All addresses whose mail leads to this account: its own under every name of its domain, and
  // aliases, through aliases too. At most 1,000.
  std::vector<std::string> AddressesOf(const AccountRecord& account) const;
  void ForEachAccount(const std::function<void(const AccountRecord&)>& visit) const;
  size_t accounts() const { return accounts_.size(); }
  size_t domains() const { return domains_.size(); }
  std::vector<base::AccountId> AccountsOf(DomainId domain) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class T>
  using ByText = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  struct Object {
    AddressType type;
    uint64_t id;
  };

  void Show(const DirectoryDelta& delta);
  void PutDomain(const DomainRecord& record);
  void RemoveDomain(DomainId id);
  void PutAccount(const AccountRecord& record);
  void PutAlias(const AliasRecord& record);
  void RemoveAlias(AliasId id);
  void AddNames(std::string_view local, const DomainRecord& domain,
                std::vector<std::string>& out) const;

  std::string postmaster_;  // configured; empty: none
  std::function<net::Task<absl::Status>()> catch_up_;
  uint64_t revision_ = 0;
  mutable std::shared_mutex
      mutex_;  // held exclusively while the loop writes; the loop itself reads without it
  std::unordered_map<DomainId, DomainRecord> domains_;
  ByText<DomainId> domain_names_;
  // Key: 8 bytes of domain id, then the local part.
  ByText<Object> addresses_;
  std::unordered_map<base::AccountId, AccountRecord> accounts_;
  std::unordered_map<AliasId, AliasRecord> aliases_;
  // Target address as written → aliases that name it.
  std::unordered_multimap<std::string, AliasId> by_target_;
};

}  // namespace posthorn::store_service
