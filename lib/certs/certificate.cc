#include "lib/certs/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/openssl_pointers.h"

namespace posthorn::certs {
namespace {

using net::BioPointer;
using net::GeneralNamesPointer;
using net::KeyPointer;
using net::X509Pointer;

BioPointer ReadOnly(std::string_view text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Without a callback OpenSSL would ask for a password on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<X509Pointer> First(std::string_view pem) {
  ERR_clear_error();
  const BioPointer bio = ReadOnly(pem);
  X509Pointer certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (!certificate) return base::Invalid("not a PEM certificate");
  return certificate;
}

int64_t Seconds(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

std::string AddressText(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int size = ASN1_STRING_length(bytes);
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (size != 4 && size != 16) return {};
  inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof(text));
  return text;
}

void ReadNames(const X509* from, Certificate& into) {
  const GeneralNamesPointer all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(from, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_IPADD) into.addresses.push_back(AddressText(name->d.iPAddress));
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    into.dns_names.emplace_back(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
}

Certificate Look(X509* from) {
  Certificate out;
  char common[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(from), NID_commonName, common, sizeof(common));
  out.subject = common;
  ReadNames(from, out);
  out.not_before = Seconds(X509_get0_notBefore(from));
  out.not_after = Seconds(X509_get0_notAfter(from));
  out.authority = X509_check_ca(from) == 1;
  const BioPointer written(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(written.get(), from);
  char* data = nullptr;
  const long size = BIO_get_mem_data(written.get(), &data);
  out.pem.assign(data, static_cast<size_t>(size));
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> ReadCertificates(std::string_view pem) {
  ERR_clear_error();
  std::vector<Certificate> out;
  const BioPointer bio = ReadOnly(pem);
  for (;;) {
    const X509Pointer next(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
    if (!next) break;
    out.push_back(Look(next.get()));
  }
  // The end of the text is an error to OpenSSL, and the only one that is none.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return base::Invalid("a damaged PEM certificate");
  if (out.empty()) return base::Invalid("no PEM certificate");
  return out;
}

absl::Status CheckKey(std::string_view chain_pem, std::string_view key_pem) {
  ASSIGN_OR_RETURN(const X509Pointer certificate, First(chain_pem));
  const BioPointer bio = ReadOnly(key_pem);
  const KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  const bool fits = key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!key) return base::Invalid("not a PEM private key without a password");
  if (!fits) return base::Invalid("the private key belongs to another certificate");
  return absl::OkStatus();
}

const Certificate* IssuerOf(const Certificate& certificate,
                            const std::vector<Certificate>& authorities) {
  const auto subject = First(certificate.pem);
  if (!subject.ok()) return nullptr;
  for (const Certificate& authority : authorities) {
    const auto issuer = First(authority.pem);
    if (!issuer.ok()) continue;
    const bool named = X509_check_issued(issuer->get(), subject->get()) == X509_V_OK;
    if (named && X509_verify(subject->get(), X509_get0_pubkey(issuer->get())) == 1) {
      return &authority;
    }
    ERR_clear_error();
  }
  return nullptr;
}

}  // namespace posthorn::certs
