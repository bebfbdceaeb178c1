#include "store-service/objects/secret_box.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "lib/auth/hmac.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kNonce = 12;
constexpr size_t kTag = 16;

struct ContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, ContextFree>;

const unsigned char* Raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* Raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

absl::StatusOr<std::string> SecretBox::Seal(std::string_view plain,
                                            std::string_view context) const {
  std::string out(kNonce + plain.size() + kTag, '\0');
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int length = 0;
  const bool ok =
      RAND_bytes(Raw(out), kNonce) == 1 &&
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Raw(key_), Raw(out)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &length, Raw(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), Raw(out) + kNonce, &length, Raw(plain),
                        static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), Raw(out) + kNonce + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTag, Raw(out) + out.size() - kTag) ==
          1;
  if (!ok) return base::Internal("encryption failed");
  return out;
}

absl::StatusOr<std::string> SecretBox::Open(std::string_view sealed,
                                            std::string_view context) const {
  if (sealed.size() < kNonce + kTag) return base::DataLoss("a secret is cut off");
  std::string tag(sealed.substr(sealed.size() - kTag));
  const std::string_view body = sealed.substr(kNonce, sealed.size() - kNonce - kTag);
  std::string out(body.size(), '\0');
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int length = 0;
  const bool ok =
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Raw(key_), Raw(sealed)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &length, Raw(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), Raw(out), &length, Raw(body),
                        static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, Raw(tag)) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), Raw(out) + length, &length) == 1;
  if (!ok) return base::DataLoss("a secret does not open with this key");
  return out;
}

std::string SecretBox::Derive(std::string_view purpose) const {
  return auth::HmacSha256(key_, base::StrCat("posthorn ", purpose));
}

}  // namespace posthorn::store_service
