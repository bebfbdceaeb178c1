#pragma once

// SASL mechanisms [RFC4422], the server's side, as machines without I/O: bytes in, what to do next
// out. The caller looks the password or verifier up and tells the result.

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "lib/auth/scram.h"

namespace posthorn::auth {

// Send `bytes` and come back with the client's response.
struct SendChallenge {
  std::string bytes;
};
// Compare this password with the one of `login`; the exchange ends with the result.
struct CheckPassword {
  std::string login;
  std::string password;
};
// Call GiveVerifier with the SCRAM verifier of `login`.
struct NeedVerifier {
  std::string login;
};
// The client proved who it is; `bytes` go with the success, or as a last challenge where the
// protocol has no room.
struct Proved {
  std::string login;
  std::string bytes;
};
struct Disproved {
  std::string login;
};
// Malformed.
struct Malformed {};

using SaslStep =
    std::variant<SendChallenge, CheckPassword, NeedVerifier, Proved, Disproved, Malformed>;

class SaslServer {
 public:
  virtual ~SaslServer() = default;
  // The client's next response; the first call has the initial response, or `has_response` is kNo.
  enum class HasResponse { kNo, kYes };
  virtual SaslStep Next(std::string_view response, HasResponse has_response) = 0;
  // After NeedVerifier only.
  virtual SaslStep GiveVerifier(ScramVerifier verifier);
};

// By [IANA] name in any case: PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS (with channel binding
// data only). Null: unknown.
std::unique_ptr<SaslServer> MakeSaslServer(std::string_view mechanism, std::string channel_binding);

inline constexpr size_t kMaxSaslResponse = 12288;  // [RFC4954 4]

}  // namespace posthorn::auth
