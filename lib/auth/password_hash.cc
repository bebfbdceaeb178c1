#include "lib/auth/password_hash.h"

#include <argon2.h>
#include <openssl/rand.h>
#include <unicode/unistr.h>
#include <unicode/unorm2.h>

#include <array>

#include "lib/base/strings.h"

namespace posthorn::auth {
namespace {

constexpr uint32_t kPasses = 2;
constexpr uint32_t kMemoryKib = 19456;
constexpr uint32_t kParallel = 1;
constexpr size_t kSaltBytes = 16;
constexpr size_t kHashBytes = 32;
constexpr size_t kMaxPassword = 1024;
constexpr std::string_view kOurForm = "$argon2id$v=19$m=19456,t=2,p=1$";

PasswordMatch VerifyArgon2id(const std::string& hash, std::string_view password) {
  switch (argon2id_verify(hash.c_str(), password.data(), password.size())) {
    case ARGON2_OK:
      return hash.starts_with(kOurForm) ? PasswordMatch::kMatch : PasswordMatch::kMatchOldForm;
    case ARGON2_VERIFY_MISMATCH:
      return PasswordMatch::kMismatch;
    case ARGON2_MEMORY_ALLOCATION_ERROR:
      return PasswordMatch::kFailed;
    default:
      return PasswordMatch::kUnknownForm;
  }
}

// One row for each form of stored password. hMailServer's forms (MD5, salted SHA-256, Blowfish)
// become rows here.
struct Form {
  std::string_view prefix;
  PasswordMatch (*verify)(const std::string& hash, std::string_view password);
};
constexpr Form kForms[] = {
    {"$argon2id$", VerifyArgon2id},
};

const Form* FormOf(std::string_view hash) {
  for (const Form& form : kForms) {
    if (hash.starts_with(form.prefix)) return &form;
  }
  return nullptr;
}

}  // namespace

std::string PreparePassword(std::string_view password) {
  bool ascii = true;
  for (const char c : password) ascii = ascii && static_cast<unsigned char>(c) < 0x80;
  if (ascii) return std::string(password);
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* form = unorm2_getNFKCInstance(&error);
  const auto text = icu::UnicodeString::fromUTF8(
      icu::StringPiece(password.data(), static_cast<int32_t>(password.size())));
  if (U_FAILURE(error) || text.indexOf(char16_t{0xfffd}) >= 0) return std::string(password);
  std::u16string out(static_cast<size_t>(text.length()) * 4 + 16, u'\0');
  const int32_t length = unorm2_normalize(form, text.getBuffer(), text.length(), out.data(),
                                          static_cast<int32_t>(out.size()), &error);
  if (U_FAILURE(error)) return std::string(password);
  std::string prepared;
  icu::UnicodeString(out.data(), length).toUTF8String(prepared);
  return prepared;
}

absl::StatusOr<std::string> HashPassword(std::string_view password) {
  if (password.empty()) return base::Invalid("the password is empty");
  if (password.size() > kMaxPassword)
    return base::Invalid("the password is longer than 1024 bytes");
  if (password.find('\0') != std::string_view::npos) return base::Invalid("the password has a NUL");
  const std::string prepared = PreparePassword(password);
  std::array<unsigned char, kSaltBytes> salt;
  if (RAND_bytes(salt.data(), salt.size()) != 1) return base::Internal("no random bytes");
  std::array<char, 256> encoded;
  const int code =
      argon2id_hash_encoded(kPasses, kMemoryKib, kParallel, prepared.data(), prepared.size(),
                            salt.data(), salt.size(), kHashBytes, encoded.data(), encoded.size());
  if (code == ARGON2_MEMORY_ALLOCATION_ERROR) return base::Exhausted("no memory to hash");
  if (code != ARGON2_OK) return base::Internal(argon2_error_message(code));
  return std::string(encoded.data());
}

PasswordMatch VerifyPassword(std::string_view hash, std::string_view password) {
  const Form* form = FormOf(hash);
  if (form == nullptr || password.size() > kMaxPassword) return PasswordMatch::kUnknownForm;
  const std::string owned(hash);
  const std::string prepared = PreparePassword(password);
  const PasswordMatch match = form->verify(owned, prepared);
  // Hashes that were made elsewhere may be of the raw bytes.
  if (match == PasswordMatch::kMismatch && prepared != password)
    return form->verify(owned, password);
  return match;
}

bool IsPasswordHash(std::string_view text) {
  if (!text.starts_with("$argon2id$v=") || text.size() > 250) return false;
  // A verification against nothing: every answer but "mismatch" says that the text is no hash of
  // ours. The memory cost is bounded first, since the text comes from outside.
  const size_t memory = text.find("$m=");
  if (memory == std::string_view::npos) return false;
  const std::string_view rest = text.substr(memory + 3);
  const auto kib = base::ParseInt<uint32_t>(rest.substr(0, rest.find(',')));
  if (!kib || *kib > 1U << 20) return false;
  return VerifyArgon2id(std::string(text), "") != PasswordMatch::kUnknownForm;
}

void VerifyNothing(std::string_view password) {
  constexpr std::string_view kNobody =
      "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  (void)VerifyPassword(kNobody, password);
}

}  // namespace posthorn::auth
