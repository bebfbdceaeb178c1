#include "admin-service/service/bootstrap.h"

#include "lib/base/status_macros.h"
#include "lib/config/objects.h"
#include "lib/net/tls_context.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

namespace v1 = ::posthorn::config::v1;
constexpr int kCertificateDays = 3650;

template <class T>
std::shared_ptr<T> New() {
  auto object = std::make_shared<T>();
  config::ApplyDefaults(*object, config::Profile::kModern, config::Age::kNew);
  return object;
}

struct Port {
  const char* name;
  v1::Protocol protocol;
  uint32_t port;
  v1::TlsMode tls;
};
// [RFC8314 3.3] implicit TLS for clients, STARTTLS beside it.
constexpr Port kPorts[] = {{"smtp", v1::SMTP, 25, v1::STARTTLS},
                           {"submission", v1::SUBMISSION, 587, v1::STARTTLS},
                           {"submissions", v1::SUBMISSION, 465, v1::IMPLICIT},
                           {"imap", v1::IMAP, 143, v1::STARTTLS},
                           {"imaps", v1::IMAP, 993, v1::IMPLICIT},
                           {"pop3", v1::POP3, 110, v1::STARTTLS},
                           {"pop3s", v1::POP3, 995, v1::IMPLICIT}};

}  // namespace

absl::StatusOr<std::vector<std::shared_ptr<const google::protobuf::Message>>> FirstObjects(
    const std::vector<std::string>& hostnames, const std::string& password) {
  std::vector<std::shared_ptr<const google::protobuf::Message>> out;
  out.push_back(New<v1::Settings>());
  for (const Port& port : kPorts) {
    const auto listener = New<v1::Listener>();
    listener->set_name(port.name);
    listener->set_protocol(port.protocol);
    listener->set_port(port.port);
    listener->set_tls(port.tls);
    out.push_back(listener);
  }
  ASSIGN_OR_RETURN(const net::TlsContext::Identity identity,
                   net::TlsContext::MakeSelfSigned(hostnames, kCertificateDays));
  const auto certificate = New<v1::Certificate>();
  certificate->set_name("default");
  certificate->set_chain(identity.chain_pem);
  certificate->set_key(identity.key_pem);
  out.push_back(certificate);
  for (const char* network : {"127.0.0.0/8", "::1/128"}) {
    const auto trusted = New<v1::TrustedNetwork>();
    trusted->set_network(network);
    trusted->set_plaintext_login(true);
    out.push_back(trusted);
  }
  const auto administrator = New<v1::Administrator>();
  administrator->set_name("admin");
  administrator->set_password(password);
  out.push_back(administrator);
  return out;
}

}  // namespace posthorn::admin_service
