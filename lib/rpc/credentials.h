#pragma once

// Who this process is to others over TCP, and whom it believes: a certificate, its key, and the
// authorities it trusts, in three PEM files that are read again when they change.
//
// A certificate's DNS name "<process>.posthorn" says who its owner is ("store-service.posthorn",
// "cli.posthorn"): a server takes its caller's role from it, a client demands it of the server that
// it meant to reach. TLS 1.2 and 1.3, certificates demanded of both sides.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::rpc {

class Credentials {
 public:
  struct Files {
    std::string certificate;  // with intermediates
    std::string key;
    std::string authorities;  // one or more
  };
  // The files at one moment. The key belongs to the certificate.
  struct Material {
    std::string certificate_pem;
    std::string key_pem;
    std::string authorities_pem;
    std::vector<std::string> names;  // the certificate's DNS names
    // The first moment, in seconds since 1970, at which a certificate of our chain or the authority
    // behind it has expired.
    int64_t expiry = 0;
    uint64_t generation = 1;
  };

  // Reads the files; blocks up to a second when they are just being replaced. Looks at them every
  // second from then on, on `loop`, where it is destroyed too. Files that do not fit together are
  // not used: what was read before stays. Errors name the file.
  static absl::StatusOr<std::shared_ptr<Credentials>> Load(net::Loop& loop, Files files);
  virtual ~Credentials() = default;

  // Never null. Any thread.
  virtual std::shared_ptr<const Material> current() const = 0;
  // The same, for who may outlive this object and its loop.
  using Source = std::function<std::shared_ptr<const Material>()>;
  virtual Source source() const = 0;
  // Runs `changed` on the loop after each change, as long as the handle lives.
  virtual std::shared_ptr<void> OnChange(std::function<void()> changed) = 0;
  // Looks at the files now.
  virtual void Look() = 0;
};

// "store-service" → "store-service.posthorn".
std::string CertificateName(std::string_view process);
// The process that a certificate with these DNS names belongs to. kUnauthenticated when they name
// none, one that does not exist, or several.
absl::StatusOr<std::string> RoleOf(const std::vector<std::string>& dns_names);

}  // namespace posthorn::rpc
