#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"
#include "lib/net/openssl_pointers.h"
#include "lib/net/tls_context.h"

namespace posthorn::net {
namespace {

// The name goes into OpenSSL's configuration language, so it must be nothing but a name.
bool PlainName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.' && c != '*' && c != '_' && c != ':') return false;
  }
  return true;
}

absl::StatusOr<std::string> AltNames(const std::vector<std::string>& hostnames) {
  std::string names;
  for (const auto& name : hostnames) {
    const bool address = ParseAddress(name).has_value();
    const bool good = PlainName(name) && (address || name.find(':') == std::string::npos);
    if (!good) return base::Invalid("not a host name");
    base::StrAppend(names, names.empty() ? "" : ",", address ? "IP:" : "DNS:", name);
  }
  return names;
}

bool AddExtension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPointer extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool FillIn(X509* certificate, EVP_PKEY* key, const std::string& common_name, int days) {
  uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) != 1) return false;
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1);
  // An hour back, for peers whose clock is behind.
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, nullptr);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  // [RFC5280 A.1] ub-common-name is 64; the alternative names count anyway.
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()),
                             common_name.size() > 64 ? 64 : -1, -1, 0);
  return X509_set_issuer_name(certificate, name) == 1;
}

std::string Written(const BioPointer& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

absl::StatusOr<TlsContext::Identity> TlsContext::MakeSelfSigned(
    const std::vector<std::string>& hostnames, int days) {
  if (hostnames.empty() || days <= 0) return base::Invalid("a certificate needs a name and days");
  ASSIGN_OR_RETURN(const std::string names, AltNames(hostnames));
  const KeyPointer key(EVP_EC_gen("P-256"));
  const X509Pointer certificate(X509_new());
  const bool made = key && certificate &&
                    FillIn(certificate.get(), key.get(), hostnames[0], days) &&
                    AddExtension(certificate.get(), NID_subject_alt_name, names) &&
                    AddExtension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                    AddExtension(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth") &&
                    X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0;
  const BioPointer chain_out(BIO_new(BIO_s_mem()));
  const BioPointer key_out(BIO_new(BIO_s_mem()));
  if (!made || PEM_write_bio_X509(chain_out.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    ERR_clear_error();
    return base::Internal("OpenSSL made no certificate");
  }
  return Identity{Written(chain_out), Written(key_out), hostnames};
}

}  // namespace posthorn::net
