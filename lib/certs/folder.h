#pragma once

// A private authority and the certificates it made, as files:
//   DIR/ca/ca.crt, ca.key             the authority; nobody but the operator reads the key
//   DIR/PROCESS/tls.crt, tls.key, ca.crt   of each process and of the command line ("cli")
// ca.crt holds what is trusted: the authority, and while it is replaced its predecessor or
// successor too. Files are replaced at once (rename), with the owner, group and mode they had.

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::certs {

inline constexpr int kAuthorityDays = 3650;
inline constexpr int kLeafDays = 365;

// "smtp-gateway" …, "cli": everybody who gets a certificate, named "<process>.posthorn" in it.
const std::vector<std::string>& Owners();

struct FolderOptions {
  std::string dir;
  // DNS names and addresses in each certificate, besides its owner's name. Nothing: none (init), or
  // what is there (renew).
  std::vector<std::string> hosts = {};
  int days = kLeafDays;
};

// What was done, one line each, for people. kAlreadyExists when there is an authority.
absl::StatusOr<std::vector<std::string>> InitFolder(const FolderOptions& options);

struct RenewOptions : FolderOptions {
  enum class What { kDue, kAll };
  // kDue: what has less than a third of its life left, is missing, damaged, or from an old
  // authority.
  What what = What::kDue;
  enum class Authority { kWhenDue, kNow };
  Authority authority = Authority::kWhenDue;
};

// Replacing the authority takes three runs, so that at each moment everybody knows who signed what
// anybody shows: the first makes the new one known, the second signs all certificates with it, the
// third forgets the old one. Between them the files have to reach everybody. kFailedPrecondition
// for kNow before an earlier replacement is through.
absl::StatusOr<std::vector<std::string>> RenewFolder(const RenewOptions& options);

struct Listed {
  std::string owner;  // "ca" for authorities
  std::string subject;
  int64_t not_after = 0;  // seconds since 1970
  std::string problem;    // empty: none
};
absl::StatusOr<std::vector<Listed>> ListFolder(const std::string& dir);

}  // namespace posthorn::certs
