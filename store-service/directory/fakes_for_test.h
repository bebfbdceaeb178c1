#pragma once

// Building a Model in tests, one line a domain, account or alias.

#include <string>
#include <utility>
#include <vector>

#include "store-service/directory/model.h"

namespace posthorn::store_service {

class ModelBuilder {
 public:
  ModelBuilder& Domain(DomainId id, std::string name, std::vector<std::string> aliases = {}) {
    DomainRecord domain;
    domain.id = id;
    domain.name = std::move(name);
    domain.alias_names = std::move(aliases);
    domain.plus_character = "+";
    delta_.domains.push_back(std::move(domain));
    return *this;
  }
  ModelBuilder& Account(base::AccountId id, DomainId domain, std::string local) {
    AccountRecord account;
    account.id = id;
    account.domain = domain;
    account.local = std::move(local);
    delta_.accounts.push_back(std::move(account));
    return *this;
  }
  ModelBuilder& Alias(AliasId id, DomainId domain, std::string local,
                      std::vector<std::string> targets) {
    AliasRecord alias;
    alias.id = id;
    alias.domain = domain;
    alias.local = std::move(local);
    alias.targets = std::move(targets);
    delta_.aliases.push_back(std::move(alias));
    return *this;
  }
  DirectoryDelta& delta() { return delta_; }
  void Into(Model& model) { model.Apply(std::exchange(delta_, {}), model.revision() + 1); }

 private:
  DirectoryDelta delta_;
};

}  // namespace posthorn::store_service
