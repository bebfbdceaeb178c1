#pragma once

// X.509 certificates as far as we look into them. Pure: bytes in, value or error out.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::certs {

struct Certificate {
  std::string subject;                 // common name, for people
  std::vector<std::string> dns_names;  // of the subject's alternative names
  std::vector<std::string> addresses;  // IP addresses of them
  int64_t not_before = 0;              // seconds since 1970
  int64_t not_after = 0;
  bool authority = false;  // may sign others
  std::string pem;
};

// All certificates of a PEM text in their order. kInvalidArgument when there is none or one is
// damaged.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(std::string_view pem);

// kInvalidArgument unless the private key belongs to the first certificate of `chain_pem`.
absl::Status CheckKey(std::string_view chain_pem, std::string_view key_pem);

// The one of `authorities` that signed `certificate`; null for none. Dates do not matter.
const Certificate* IssuerOf(const Certificate& certificate,
                            const std::vector<Certificate>& authorities);

}  // namespace posthorn::certs
