#include "lib/certs/issue.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/net/network.h"
#include "lib/net/openssl_pointers.h"

namespace posthorn::certs {
namespace {

using net::BioPointer;
using net::ExtensionPointer;
using net::KeyPointer;
using net::X509Pointer;

struct Extension {
  int kind;
  std::string value;
};

// The name goes into OpenSSL's configuration language, so it must be nothing but a name.
bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

absl::StatusOr<std::string> AltNames(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    const bool address = net::ParseAddress(name).has_value();
    if (!address && !IsHostName(name)) {
      return base::Invalid(base::StrCat("neither a host name nor an address: ", name));
    }
    base::StrAppend(out, out.empty() ? "" : ",", address ? "IP:" : "DNS:", name);
  }
  return out;
}

bool Add(X509* certificate, X509* issuer, const Extension& extension) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPointer made(
      X509V3_EXT_conf_nid(nullptr, &context, extension.kind, extension.value.c_str()));
  return made && X509_add_ext(certificate, made.get(), -1) == 1;
}

// 63 random bits, written in hexadecimal too.
absl::StatusOr<uint64_t> NewSerial() {
  uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) != 1) {
    return base::Internal("no random bytes");
  }
  return serial >> 1 | 1;
}

bool FillIn(X509* certificate, EVP_PKEY* key, uint64_t serial, const std::string& common_name,
            Validity validity) {
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial);
  // [RFC5280 A.1] ub-common-name is 64; the alternative names count anyway.
  const std::string name = common_name.substr(0, 64);
  return ASN1_TIME_set(X509_getm_notBefore(certificate), validity.not_before) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), validity.not_after) != nullptr &&
         X509_set_pubkey(certificate, key) == 1 &&
         X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                                    0) == 1;
}

bool Sign(X509* certificate, X509* issuer, EVP_PKEY* issuers_key,
          const std::vector<Extension>& extensions) {
  if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1) return false;
  for (const Extension& extension : extensions) {
    if (!Add(certificate, issuer, extension)) return false;
  }
  return X509_sign(certificate, issuers_key, EVP_sha256()) > 0;
}

std::string Written(const BioPointer& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

absl::StatusOr<Identity> Written(X509* certificate, EVP_PKEY* key) {
  const BioPointer chain(BIO_new(BIO_s_mem()));
  const BioPointer secret(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(chain.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return base::Internal("OpenSSL wrote no certificate");
  }
  return Identity{Written(chain), Written(secret)};
}

}  // namespace

Validity Validity::Days(int days) {
  const int64_t now = std::time(nullptr);
  return {now - 3600, now + int64_t{days} * 86400};
}

absl::StatusOr<Identity> MakeAuthority(const std::string& name, Validity validity) {
  const KeyPointer key(EVP_EC_gen("P-256"));
  const X509Pointer certificate(X509_new());
  ASSIGN_OR_RETURN(const uint64_t serial, NewSerial());
  const bool made =
      key && certificate &&
      FillIn(certificate.get(), key.get(), serial, base::StrCat(name, " ", serial), validity) &&
      Sign(certificate.get(), certificate.get(), key.get(),
           {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
            {NID_key_usage, "critical,keyCertSign,cRLSign"},
            {NID_subject_key_identifier, "hash"}});
  if (!made) {
    ERR_clear_error();
    return base::Internal("OpenSSL made no certificate");
  }
  return Written(certificate.get(), key.get());
}

absl::StatusOr<Identity> Issue(const Identity& authority, const std::vector<std::string>& names,
                               Validity validity) {
  if (names.empty()) return base::Invalid("a certificate needs a name");
  ASSIGN_OR_RETURN(const std::string alt_names, AltNames(names));
  RETURN_IF_ERROR(CheckKey(authority.certificate_pem, authority.key_pem));
  ASSIGN_OR_RETURN(const std::vector<Certificate> issuers,
                   ReadCertificates(authority.certificate_pem));
  validity.not_after = std::min(validity.not_after, issuers.front().not_after);
  const BioPointer pem(BIO_new_mem_buf(authority.certificate_pem.data(),
                                       static_cast<int>(authority.certificate_pem.size())));
  const BioPointer key_pem(
      BIO_new_mem_buf(authority.key_pem.data(), static_cast<int>(authority.key_pem.size())));
  const X509Pointer issuer(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
  const KeyPointer issuers_key(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
  const KeyPointer key(EVP_EC_gen("P-256"));
  const X509Pointer certificate(X509_new());
  ASSIGN_OR_RETURN(const uint64_t serial, NewSerial());
  const bool made = issuer && issuers_key && key && certificate &&
                    FillIn(certificate.get(), key.get(), serial, names.front(), validity) &&
                    Sign(certificate.get(), issuer.get(), issuers_key.get(),
                         {{NID_subject_alt_name, alt_names},
                          {NID_basic_constraints, "critical,CA:FALSE"},
                          {NID_key_usage, "critical,digitalSignature"},
                          {NID_ext_key_usage, "serverAuth,clientAuth"},
                          {NID_subject_key_identifier, "hash"},
                          {NID_authority_key_identifier, "keyid:always"}});
  if (!made) {
    ERR_clear_error();
    return base::Internal("OpenSSL made no certificate");
  }
  return Written(certificate.get(), key.get());
}

}  // namespace posthorn::certs
