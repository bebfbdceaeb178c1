#include "lib/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/openssl_pointers.h"

namespace posthorn::net {
namespace {

// Forward secrecy only; the CBC suites are for old clients of TLS 1.2, last in order.
constexpr const char* kCiphers12 =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA";
constexpr unsigned char kSessionIdContext[] = "posthorn";

std::string LastReason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown reason";
}

BioPointer ReadOnly(std::string_view text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Without a callback OpenSSL would ask for a password on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<SslContextPointer> NewContext(const SSL_METHOD* method) {
  ERR_clear_error();
  SslContextPointer context(SSL_CTX_new(method));
  if (!context) return base::Internal(LastReason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphers12);
  // Mail protocols say themselves when they are done: a stream that ends without close_notify is an
  // end.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // An idle connection keeps no record buffers: 15 KB instead of 24.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

absl::Status UseChain(SSL_CTX* context, std::string_view pem) {
  const BioPointer bio = ReadOnly(pem);
  const X509Pointer leaf(PEM_read_bio_X509_AUX(bio.get(), nullptr, NoPassword, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return base::Invalid(base::StrCat("certificate: ", LastReason()));
  }
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    SSL_CTX_add0_chain_cert(context, next);
  }
  // The end of the text is an error to OpenSSL, and the only one that is none.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return base::Invalid(base::StrCat("certificate chain: ", LastReason()));
  ERR_clear_error();
  return absl::OkStatus();
}

absl::Status UseKey(SSL_CTX* context, std::string_view pem) {
  const BioPointer bio = ReadOnly(pem);
  const KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return base::Invalid(base::StrCat("private key: ", LastReason()));
  }
  return absl::OkStatus();
}

// The DNS names of the certificate; its common name when it has none ([RFC6125 6.4.4]).
std::vector<std::string> NamesOf(const X509* certificate) {
  std::vector<std::string> names;
  const GeneralNamesPointer all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names.emplace_back(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  if (!names.empty()) return names;
  char common[256];
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               common, sizeof(common));
  if (length > 0) names.emplace_back(common, static_cast<size_t>(length));
  return names;
}

class ServerContext : public TlsContext {
 public:
  absl::Status Add(const Identity& identity) {
    ASSIGN_OR_RETURN(SslContextPointer context, NewContext(TLS_server_method()));
    SSL_CTX_set_session_id_context(context.get(), kSessionIdContext, sizeof(kSessionIdContext) - 1);
    // Sessions live in tickets at the client, not here.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    SSL_CTX_set_tlsext_servername_callback(context.get(), &ServerContext::OnServerName);
    SSL_CTX_set_tlsext_servername_arg(context.get(), this);
    RETURN_IF_ERROR(UseChain(context.get(), identity.chain_pem));
    RETURN_IF_ERROR(UseKey(context.get(), identity.key_pem));
    for (const auto& name : NamesOf(SSL_CTX_get0_certificate(context.get()))) {
      by_name_.emplace(base::Lower(name), context.get());
    }
    for (const auto& name : identity.hostnames) by_name_[base::Lower(name)] = context.get();
    contexts_.push_back(std::move(context));
    return absl::OkStatus();
  }

  SSL_CTX* native() const override { return contexts_.front().get(); }

 private:
  // [RFC6066 3] An unknown name gets the first identity: refusing it would only break mail.
  static int OnServerName(SSL* ssl, int*, void* self) {
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX* const found = static_cast<const ServerContext*>(self)->Find(base::Lower(name));
    if (found == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
  }

  SSL_CTX* Find(const std::string& name) const {
    if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
    // [RFC6125 6.4.3] A wildcard stands for one label.
    const size_t dot = name.find('.');
    if (dot == std::string::npos || dot == 0) return nullptr;
    const auto wildcard = by_name_.find("*" + name.substr(dot));
    return wildcard == by_name_.end() ? nullptr : wildcard->second;
  }

  std::vector<SslContextPointer> contexts_;
  std::map<std::string, SSL_CTX*, std::less<>> by_name_;
};

class ClientContext : public TlsContext {
 public:
  explicit ClientContext(SslContextPointer context) : context_(std::move(context)) {}
  SSL_CTX* native() const override { return context_.get(); }

 private:
  SslContextPointer context_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Server(
    std::vector<Identity> identities) {
  if (identities.empty()) return base::Invalid("no certificate");
  auto context = std::make_shared<ServerContext>();
  for (const auto& identity : identities) RETURN_IF_ERROR(context->Add(identity));
  return std::shared_ptr<const TlsContext>(std::move(context));
}

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Client(Verify verify,
                                                                     std::string ca_file) {
  ASSIGN_OR_RETURN(SslContextPointer context, NewContext(TLS_client_method()));
  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                     : SSL_CTX_load_verify_file(context.get(), ca_file.c_str());
  if (loaded != 1) return base::Invalid(base::StrCat("CA file: ", LastReason()));
  SSL_CTX_set_verify(context.get(), verify == Verify::kPeer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                     nullptr);
  return std::shared_ptr<const TlsContext>(std::make_shared<ClientContext>(std::move(context)));
}

}  // namespace posthorn::net
