#include "lib/login/cache.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstdlib>
#include <utility>

#include "lib/base/strings.h"

namespace posthorn::login {

Cache::Cache(size_t max_entries) : max_entries_(max_entries) {
  // Without a random key the cache would be guessable: there is nothing sensible to go on with.
  if (RAND_bytes(secret_.data(), static_cast<int>(secret_.size())) != 1) std::abort();
}

Cache::Key Cache::KeyOf(std::string_view name, std::string_view password) const {
  // The length in front keeps ("ab", "c") and ("a", "bc") apart.
  std::string text = base::StrCat(name.size(), ":", name, ":", password);
  Key key{};
  unsigned int size = key.size();
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), key.data(), &size);
  OPENSSL_cleanse(text.data(), text.size());
  return key;
}

std::shared_ptr<const Identity> Cache::Find(const Key& key, Time now) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (found->second.expires <= now) {
    entries_.erase(found);
    return nullptr;
  }
  return found->second.identity;
}

void Cache::Insert(const Key& key, std::shared_ptr<const Identity> identity, Time expires) {
  // Full: an arbitrary entry goes; it costs one slow login.
  if (entries_.size() >= max_entries_ && !entries_.contains(key)) entries_.erase(entries_.begin());
  entries_[key] = Entry{std::move(identity), expires};
}

void Cache::DropAccount(uint64_t account) {
  std::erase_if(entries_,
                [account](const auto& e) { return e.second.identity->account == account; });
}

void Cache::DropDomain(std::string_view domain) {
  std::erase_if(entries_, [domain](const auto& e) {
    const std::string& address = e.second.identity->address;
    const size_t at = address.rfind('@');
    return at != std::string::npos &&
           base::EqualsIgnoreCase(std::string_view(address).substr(at + 1), domain);
  });
}

}  // namespace posthorn::login
