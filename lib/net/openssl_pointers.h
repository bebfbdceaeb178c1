#pragma once

// Owning pointers to OpenSSL's objects; for .cc files of lib/net and lib/certs only.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

namespace posthorn::net {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPointer = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using X509Pointer = std::unique_ptr<X509, FreeWith<X509_free>>;
using ExtensionPointer = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;
using GeneralNamesPointer = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
using SslContextPointer = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

}  // namespace posthorn::net
