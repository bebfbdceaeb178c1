#include "lib/auth/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "lib/auth/hmac.h"
#include "lib/auth/password_hash.h"
#include "lib/base/strings.h"

namespace posthorn::auth {
namespace {

constexpr size_t kHashBytes = 32;
constexpr uint32_t kMaxIterations = 1'000'000;
constexpr std::string_view kForm = "SCRAM-SHA-256$";

std::string Random(size_t bytes) {
  std::string out(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(bytes)) != 1)
    out.clear();
  return out;
}

std::string Xor(std::string a, std::string_view b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i]);
  return a;
}

// "=2C" and "=3D" back to "," and "=" [RFC5802 5.1]; nothing on another "=".
std::optional<std::string> UnescapeName(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '=') {
      out.push_back(name[i]);
      continue;
    }
    const std::string_view code = name.substr(i, 3);
    if (code != "=2C" && code != "=3D") return std::nullopt;
    out.push_back(code == "=2C" ? ',' : '=');
    i += 2;
  }
  return out;
}

// The value of attribute `letter` at the start of `field`: "r=...".
std::optional<std::string_view> Attribute(std::string_view field, char letter) {
  if (field.size() < 2 || field[0] != letter || field[1] != '=') return std::nullopt;
  return field.substr(2);
}

ScramVerifier FromSalted(std::string_view salted, std::string salt, uint32_t iterations) {
  return {.iterations = iterations,
          .salt = std::move(salt),
          .stored_key = Sha256(HmacSha256(salted, "Client Key")),
          .server_key = HmacSha256(salted, "Server Key")};
}

}  // namespace

absl::StatusOr<ScramVerifier> ScramVerifier::Make(std::string_view password) {
  constexpr uint32_t kIterations = 4096;
  const std::string prepared = PreparePassword(password);
  std::string salt = Random(16);
  if (salt.empty()) return base::Internal("no random bytes");
  std::string salted(kHashBytes, '\0');
  const int ok = PKCS5_PBKDF2_HMAC(prepared.data(), static_cast<int>(prepared.size()),
                                   reinterpret_cast<const unsigned char*>(salt.data()),
                                   static_cast<int>(salt.size()), kIterations, EVP_sha256(),
                                   kHashBytes, reinterpret_cast<unsigned char*>(salted.data()));
  if (ok != 1) return base::Internal("PBKDF2 failed");
  return FromSalted(salted, std::move(salt), kIterations);
}

ScramVerifier ScramVerifier::Fake(std::string_view secret, std::string_view name) {
  const std::string seed = HmacSha256(secret, name);
  return FromSalted(HmacSha256(seed, "salted"), HmacSha256(seed, "salt").substr(0, 16), 4096);
}

std::string ScramVerifier::ToString() const {
  return base::StrCat(kForm, iterations, ":", base::Base64(salt), "$", base::Base64(stored_key),
                      ":", base::Base64(server_key));
}

std::optional<ScramVerifier> ScramVerifier::Parse(std::string_view text) {
  if (!text.starts_with(kForm)) return std::nullopt;
  const auto halves = base::Split(text.substr(kForm.size()), '$');
  if (halves.size() != 2) return std::nullopt;
  const auto first = base::Split(halves[0], ':');
  const auto second = base::Split(halves[1], ':');
  if (first.size() != 2 || second.size() != 2) return std::nullopt;
  const auto iterations = base::ParseInt<uint32_t>(first[0]);
  auto salt = base::UnBase64(first[1]);
  auto stored = base::UnBase64(second[0]);
  auto server = base::UnBase64(second[1]);
  if (!iterations || *iterations == 0 || *iterations > kMaxIterations || !salt || !stored ||
      !server || stored->size() != kHashBytes || server->size() != kHashBytes) {
    return std::nullopt;
  }
  return ScramVerifier{*iterations, *std::move(salt), *std::move(stored), *std::move(server)};
}

// client-first-message = gs2-header client-first-message-bare [RFC5802 7]
absl::StatusOr<std::string> ScramServer::First(std::string_view message) {
  const auto fields = base::Split(message, ',');
  if (fields.size() < 4) return base::Invalid("SCRAM: too few fields");
  const std::string_view flag = fields[0];
  const bool bound = flag == "p=tls-exporter" && !binding_.empty();
  if (flag != "n" && flag != "y" && !bound)
    return base::Invalid("SCRAM: channel binding not offered");
  // [RFC5802 6] "y" says that the client thinks we cannot bind: with a binding offered that is a
  // downgrade.
  if (flag == "y" && !binding_.empty()) return base::Invalid("SCRAM: channel binding was offered");
  const auto name = Attribute(fields[2], 'n');
  const auto nonce = Attribute(fields[3], 'r');
  if (!name || !nonce || nonce->empty()) return base::Invalid("SCRAM: name or nonce missing");
  const auto login = UnescapeName(*name);
  if (!login || login->empty()) return base::Invalid("SCRAM: bad name");
  const auto authzid =
      fields[1].empty() ? std::optional<std::string_view>("") : Attribute(fields[1], 'a');
  if (!authzid || (!authzid->empty() && *authzid != *name))
    return base::Invalid("SCRAM: bad authzid");
  gs2_header_ = base::StrCat(fields[0], ",", fields[1], ",");
  client_first_bare_ = std::string(message.substr(gs2_header_.size()));
  nonce_ = base::StrCat(*nonce, base::Base64(Random(18)));
  return *login;
}

std::string ScramServer::Challenge(ScramVerifier verifier) {
  verifier_ = std::move(verifier);
  server_first_ =
      base::StrCat("r=", nonce_, ",s=", base::Base64(verifier_.salt), ",i=", verifier_.iterations);
  return server_first_;
}

absl::StatusOr<std::string> ScramServer::Final(std::string_view message) const {
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return base::Invalid("SCRAM: no proof");
  const std::string_view without_proof = message.substr(0, proof_at);
  const auto proof = base::UnBase64(message.substr(proof_at + 3));
  const auto fields = base::Split(without_proof, ',');
  if (!proof || proof->size() != kHashBytes || fields.size() < 2)
    return base::Invalid("SCRAM: bad final");
  const auto binding = Attribute(fields[0], 'c');
  const auto nonce = Attribute(fields[1], 'r');
  if (!binding || !nonce) return base::Invalid("SCRAM: bad final");
  const bool bound = gs2_header_.starts_with("p=");
  if (*binding != base::Base64(base::StrCat(gs2_header_, bound ? binding_ : "")) ||
      *nonce != nonce_) {
    return base::Error(absl::StatusCode::kUnauthenticated, "SCRAM: binding or nonce differ");
  }
  const std::string signed_text =
      base::StrCat(client_first_bare_, ",", server_first_, ",", without_proof);
  const std::string client_key = Xor(*proof, HmacSha256(verifier_.stored_key, signed_text));
  const std::string stored = Sha256(client_key);
  if (CRYPTO_memcmp(stored.data(), verifier_.stored_key.data(), kHashBytes) != 0) {
    return base::Error(absl::StatusCode::kUnauthenticated, "SCRAM: wrong proof");
  }
  return base::StrCat("v=", base::Base64(HmacSha256(verifier_.server_key, signed_text)));
}

}  // namespace posthorn::auth
