#include <idn2.h>
#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/mail/utf8.h"

namespace posthorn::mail {
namespace {

std::string Nfc(const std::string& text) {
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(code);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  if (U_SUCCESS(code)) nfc->normalizeUTF8(0, text, sink, nullptr, code);
  return U_SUCCESS(code) ? out : text;
}

std::string Fold(const std::string& text) {
  UErrorCode code = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  icu::CaseMap::utf8Fold(0, text, sink, nullptr, code);
  return U_SUCCESS(code) ? out : text;
}

// A local part may be quoted here; one that is badly quoted stays as it is.
std::string Unquoted(std::string_view local) {
  if (local.size() < 2 || local.front() != '"' || local.back() != '"') return std::string(local);
  std::string out;
  for (size_t i = 1; i + 1 < local.size(); ++i) {
    if (local[i] == '\\' && i + 2 < local.size()) ++i;
    out.push_back(local[i]);
  }
  return out;
}

}  // namespace

std::string NormalLocal(std::string_view local) {
  if (IsAscii(local) || !IsUtf8(local)) return base::Lower(local);
  // Folding can break the composed form, and composing first makes folding see whole letters.
  return Nfc(Fold(Nfc(std::string(local))));
}

std::optional<std::string> NormalDomain(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (domain.empty() || domain.front() == '.' || domain.back() == '.') return {};
  if (IsAscii(domain)) return base::Lower(domain);
  if (domain.size() > 4 * kMaxDomain || !IsUtf8(domain)) return {};
  const std::string text(domain);
  if (text.find('\0') != std::string::npos) return {};
  char* ascii = nullptr;
  if (idn2_to_ascii_8z(text.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
    return {};
  const std::string out = ascii;
  idn2_free(ascii);
  // What was ignored or mapped may have left nothing, or dots.
  return NormalDomain(out);
}

std::optional<std::string> NormalAddress(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0) return {};
  return NormalAddress(Path{Unquoted(address.substr(0, at)), std::string(address.substr(at + 1))});
}

std::optional<std::string> NormalAddress(const Path& path) {
  const std::optional<std::string> domain = NormalDomain(path.domain);
  if (!domain) return {};
  return base::StrCat(QuoteLocal(NormalLocal(path.local)), '@', *domain);
}

}  // namespace posthorn::mail
