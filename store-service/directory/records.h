#pragma once

// What the directory keeps in memory of each domain, account and alias.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"

namespace posthorn::store_service {

using DomainId = uint64_t;
using AliasId = uint64_t;

struct DomainRecord {
  DomainId id = 0;
  std::string name;
  std::vector<std::string> alias_names;
  bool enabled = true;
  std::string catch_all;       // empty: none
  std::string plus_character;  // empty: off
  uint64_t revision = 0;
  uint64_t session_revision = 0;  // since then its accounts' tickets are valid
};

struct AccountRecord {
  base::AccountId id = 0;
  DomainId domain = 0;
  std::string local;
  bool enabled = true;
  bool deleting = false;
  uint64_t quota = 0;
  uint64_t revision = 0;
  uint64_t session_revision = 0;
};

struct AliasRecord {
  AliasId id = 0;
  DomainId domain = 0;
  std::string local;
  bool enabled = true;
  std::vector<std::string> targets;
};

inline constexpr std::string_view kDomainKind = "posthorn.config.v1.Domain";
inline constexpr std::string_view kAccountKind = "posthorn.config.v1.Account";
inline constexpr std::string_view kAliasKind = "posthorn.config.v1.Alias";

// What one commit changed, or several.
struct DirectoryDelta {
  std::vector<DomainRecord> domains;
  std::vector<DomainId> removed_domains;
  std::vector<AccountRecord> accounts;  // with `deleting` when removed
  std::vector<AliasRecord> aliases;
  std::vector<AliasId> removed_aliases;
};

enum class AddressType { kAccount = 1, kAlias = 2 };

}  // namespace posthorn::store_service
