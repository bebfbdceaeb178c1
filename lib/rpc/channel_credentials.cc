#include "lib/rpc/channel_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <list>

namespace posthorn::rpc {
namespace {

// What one port has been given. gRPC makes its TLS context anew when the files have changed; a
// context that cannot be made leaves the last one in use.
struct Port {
  Credentials::Source source;
  uint64_t given = 0;
};

grpc_ssl_certificate_config_reload_status Fetch(void* argument,
                                                grpc_ssl_server_certificate_config** config) {
  auto* const port = static_cast<Port*>(argument);
  const auto material = port->source();
  if (material->generation == port->given) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair{material->key_pem.c_str(),
                                        material->certificate_pem.c_str()};
  *config = grpc_ssl_server_certificate_config_create(material->authorities_pem.c_str(), &pair, 1);
  port->given = material->generation;
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

// grpc++ has no face for the C core's certificates that are asked for at each connection.
class ReloadingServerCredentials : public grpc::ServerCredentials {
 public:
  explicit ReloadingServerCredentials(Credentials::Source source) : source_(std::move(source)) {}
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    ports_.push_back({source_});
    grpc_server_credentials* const made = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &Fetch, &ports_.back()));
    const int port = grpc_server_add_http2_port(server, address.c_str(), made);
    grpc_server_credentials_release(made);
    return port;
  }

  const Credentials::Source source_;
  std::list<Port> ports_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentialsOf(Credentials::Source source) {
  return std::make_shared<ReloadingServerCredentials>(std::move(source));
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(
    const Credentials::Material& material) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = material.authorities_pem;
  options.pem_private_key = material.key_pem;
  options.pem_cert_chain = material.certificate_pem;
  return grpc::SslCredentials(options);
}

}  // namespace posthorn::rpc
