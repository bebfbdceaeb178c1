#pragma once

// Who an operator's call comes from, and what he may do. Invariants:
//  1. A password is checked by the store; here only a keyed hash of a right one is remembered, for
//  a minute.
//  2. A token dies with its administrator object: any change of it, its password too, voids it.

#include <chrono>
#include <map>
#include <string>

#include "admin-service/service/model.h"
#include "admin-service/service/object_store.h"
#include "lib/rpc/context.h"

namespace posthorn::admin_service {

struct Caller {
  std::string name;
  bool owner = false;
};

class Authority {
 public:
  // `key`: at least 32 secret bytes.
  Authority(const config::Schema& schema, ObjectStore& store, ModelCache& models, std::string key)
      : schema_(schema), store_(store), models_(models), key_(std::move(key)) {}

  // Instead of the one so far; tokens signed with that one are void.
  void SetKey(std::string key) { key_ = std::move(key); }

  // From the socket's role or metadata "authorization". kUnauthenticated: neither is good.
  net::Task<absl::StatusOr<Caller>> Identify(rpc::CallContext context);
  // As Identify; kPermissionDenied for a reader.
  net::Task<absl::StatusOr<Caller>> IdentifyOwner(rpc::CallContext context);
  struct Token {
    std::string text;
    int64_t expires = 0;  // seconds since 1970
  };
  net::Task<absl::StatusOr<Token>> Login(std::string name, std::string password);

 private:
  net::Task<absl::StatusOr<Caller>> CheckPassword(std::string name, std::string password);
  absl::StatusOr<Caller> CheckToken(std::string_view token) const;
  absl::StatusOr<Caller> FindAdministrator(const std::string& name) const;
  uint64_t RevisionOf(const std::string& name) const;
  std::string Sign(std::string_view text) const;

  const config::Schema& schema_;
  ObjectStore& store_;
  ModelCache& models_;
  std::string key_;
  // Keyed hash of (name, password, revision of the object) → until when it is good.
  std::map<std::string, std::chrono::steady_clock::time_point> remembered_;
};

// The key in `path`, made when there is none (mode 0600).
absl::StatusOr<std::string> LoadOrMakeKey(const std::string& path);
// `bytes` of the system's randomness.
std::string RandomBytes(size_t bytes);
// A password people can type: 20 of 32 letters and digits, 100 bits.
std::string RandomPassword();

}  // namespace posthorn::admin_service
