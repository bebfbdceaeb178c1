#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::store_service {

// AES-256-GCM for what must not be readable in a copied database. Any thread.
class SecretBox {
 public:
  explicit SecretBox(std::string key) : key_(std::move(key)) {}  // 32 bytes
  // nonce, ciphertext, tag. `context` (the kind) must be the same when opened.
  absl::StatusOr<std::string> Seal(std::string_view plain, std::string_view context) const;
  // kDataLoss: damaged, of another key or context.
  absl::StatusOr<std::string> Open(std::string_view sealed, std::string_view context) const;
  // A key for another purpose, made from this one.
  std::string Derive(std::string_view purpose) const;

 private:
  std::string key_;
};

}  // namespace posthorn::store_service
