#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lib/auth/sasl.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/auth/authenticator.h"

namespace posthorn::store_service {

// One call of Directory.Authenticate: the SASL steps of one login.
class LoginExchange {
 public:
  // Both outlive this.
  LoginExchange(Authenticator& authenticator, rpc::ServerCall& call)
      : authenticator_(authenticator), call_(call) {}
  net::Task<absl::Status> Run();

 private:
  // The reply to one step; CONTINUE, or what ends the exchange.
  net::Task<store::v1::AuthenticateReply> Answer(auth::SaslStep step);
  net::Task<store::v1::AuthenticateReply> AnswerVerifier(std::string login);
  net::Task<store::v1::AuthenticateReply> AnswerPassword(auth::CheckPassword check);
  store::v1::AuthenticateReply Final(Login login, std::string name) const;

  Authenticator& authenticator_;
  rpc::ServerCall& call_;
  std::unique_ptr<auth::SaslServer> sasl_;
  std::string protocol_;
  // The name whose SCRAM proof was right; what remains is the client's empty response.
  std::optional<std::string> proved_;
};

}  // namespace posthorn::store_service
