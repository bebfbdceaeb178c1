#include "store-service/directory/resolve.h"

#include <unordered_set>
#include <utility>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

using Kind = Resolution::Kind;

struct Parts {
  std::string_view local, domain;
};

Parts Split(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos) return {address, {}};
  return {address.substr(0, at), address.substr(at + 1)};
}

// One address, without following aliases.
struct Place {
  const DomainRecord* domain = nullptr;
  Lookups::Found found;
  std::string_view detail;  // into the address
};

Place Locate(const Lookups& directory, std::string_view address) {
  const Parts parts = Split(address);
  Place place;
  place.domain = parts.domain.empty() ? nullptr : directory.FindDomain(parts.domain);
  if (place.domain == nullptr || !place.domain->enabled) return place;
  place.found = directory.FindAddress(place.domain->id, parts.local);
  const std::string& plus = place.domain->plus_character;
  if (place.found.account != nullptr || place.found.alias != nullptr || plus.empty()) return place;
  const size_t at = parts.local.find(plus, 1);
  if (at == std::string_view::npos) return place;
  place.found = directory.FindAddress(place.domain->id, parts.local.substr(0, at));
  place.detail = parts.local.substr(at + plus.size());
  return place;
}

bool IsPostmaster(std::string_view address) {
  return base::EqualsIgnoreCase(Split(address).local, "postmaster");
}

// Follows aliases and catch-alls from one address to its leaves.
class Expansion {
 public:
  explicit Expansion(const Lookups& directory) : directory_(directory) {}

  // What `address` is, with its leaves added.
  Kind Follow(std::string_view address, int depth) {
    if (depth > kMaxResolveDepth || ++steps_ > kMaxResolveSteps) return TooDeep();
    const Place place = Locate(directory_, address);
    if (depth == 0) {
      detail_ = std::string(place.detail);
      domain_ = place.domain != nullptr ? place.domain->id : 0;
    }
    const bool postmaster = IsPostmaster(address);
    if (postmaster && address.find('@') == std::string_view::npos)
      return FollowPostmaster(0, depth);
    if (place.domain == nullptr) return Leaf(std::string(address), Kind::kRemote);
    if (!place.domain->enabled) return Kind::kDisabled;
    if (place.found.account != nullptr) return FollowAccount(*place.found.account);
    if (place.found.alias != nullptr) return FollowAlias(*place.found.alias, depth);
    const DomainId domain = place.domain->id;
    const Kind kind = FollowCatchAll(*place.domain, depth);
    return postmaster && kind == Kind::kUnknown ? FollowPostmaster(domain, depth) : kind;
  }

  Resolution Result(std::string_view address, Kind kind) && {
    Resolution result;
    result.kind = too_deep_ ? Kind::kLoop : kind;
    // Foreign, but only behind a catch-all of ours.
    if (result.kind == Kind::kRemote && (domain_ != 0 || stands_in_)) result.kind = Kind::kAlias;
    result.canonical = std::string(address);
    result.detail = std::move(detail_);
    result.domain = domain_;
    if (result.kind == Kind::kAccount) {
      result.account = account_;
      result.canonical = leaves_.front();
    }
    if (result.kind == Kind::kAlias) result.targets = std::move(leaves_);
    return result;
  }

 private:
  Kind TooDeep() {
    too_deep_ = true;
    return Kind::kLoop;
  }

  Kind Leaf(std::string address, Kind kind) {
    if (seen_.insert(address).second) leaves_.push_back(std::move(address));
    return kind;
  }

  Kind FollowAccount(const AccountRecord& account) {
    if (!account.enabled) return Kind::kDisabled;
    account_ = &account;
    return Leaf(AddressOf(directory_, account), Kind::kAccount);
  }

  // A catch-all that is itself unknown leads nowhere, not to itself.
  Kind FollowCatchAll(const DomainRecord& domain, int depth) {
    if (domain.catch_all.empty() || !caught_.insert(domain.id).second) return Kind::kUnknown;
    if (depth == 0) detail_.clear();
    return Follow(domain.catch_all, depth + 1);
  }

  // [RFC5321 4.5.1] MUST be accepted for every domain served. Nobody stands in for a stand-in.
  Kind FollowPostmaster(DomainId domain, int depth) {
    if (std::exchange(stands_in_, true)) return Kind::kUnknown;
    for (const std::string& address : directory_.Postmasters(domain)) {
      const Kind kind = Follow(address, depth + 1);
      if (kind != Kind::kUnknown && kind != Kind::kDisabled) return kind;
    }
    return Kind::kUnknown;
  }

  // One account behind an alias is answered as that account. Targets that lead nowhere are left out
  // while another one leads somewhere; alone they say what is wrong.
  Kind FollowAlias(const AliasRecord& alias, int depth) {
    if (!alias.enabled) return Kind::kDisabled;
    if (!entered_.insert(alias.id).second) return Kind::kLoop;
    Kind failure = Kind::kUnknown;
    for (const std::string& target : alias.targets) {
      const Kind kind = Follow(target, depth + 1);
      if (too_deep_) return Kind::kLoop;
      if (kind != Kind::kAccount && kind != Kind::kRemote && kind != Kind::kAlias) failure = kind;
    }
    if (leaves_.empty()) return failure;
    if (leaves_.size() == 1 && account_ != nullptr) return Kind::kAccount;
    return Kind::kAlias;
  }

  const Lookups& directory_;
  size_t steps_ = 0;
  bool too_deep_ = false;
  bool stands_in_ = false;  // somebody does, for postmaster
  const AccountRecord* account_ = nullptr;
  std::string detail_;
  DomainId domain_ = 0;
  std::vector<std::string> leaves_;
  std::unordered_set<std::string> seen_;
  std::unordered_set<AliasId> entered_;
  std::unordered_set<DomainId> caught_;
};

}  // namespace

std::string AddressOf(const Lookups& directory, const AccountRecord& account) {
  const DomainRecord* domain = directory.DomainById(account.domain);
  return base::StrCat(account.local, "@", domain != nullptr ? domain->name : std::string());
}

Resolution Resolve(const Lookups& directory, std::string_view address) {
  Expansion expansion(directory);
  const Kind kind = expansion.Follow(address, 0);
  return std::move(expansion).Result(address, kind);
}

const AccountRecord* FindLogin(const Lookups& directory, std::string_view address) {
  const Parts parts = Split(address);
  const DomainRecord* domain = parts.domain.empty() ? nullptr : directory.FindDomain(parts.domain);
  return domain == nullptr ? nullptr : directory.FindAddress(domain->id, parts.local).account;
}

}  // namespace posthorn::store_service
