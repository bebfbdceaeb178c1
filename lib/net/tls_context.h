#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace posthorn::net {

// What a TLS endpoint shows and accepts. Immutable: a changed certificate makes a new one.
// TLS 1.2 and 1.3 only; sessions are resumable by ticket; SSL_MODE_RELEASE_BUFFERS is on.
class TlsContext {
 public:
  struct Identity {
    std::string chain_pem;
    std::string key_pem;
    std::vector<std::string> hostnames;  // SNI names besides those in the certificate
  };
  // The first identity is shown to clients that name no other. kInvalidArgument with OpenSSL's reason on bad PEM.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Server(std::vector<Identity> identities);
  enum class Verify { kNone, kPeer };
  // `ca_file` empty: the system's certificates.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Client(Verify verify, std::string ca_file);
  // A self-signed P-256 certificate for `hostnames` and its key, valid `days`.
  static absl::StatusOr<Identity> MakeSelfSigned(const std::vector<std::string>& hostnames, int days);

  virtual ~TlsContext() = default;
  virtual SSL_CTX* native() const = 0;
};

}  // namespace posthorn::net
