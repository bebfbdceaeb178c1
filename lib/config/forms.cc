#include "lib/config/forms.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::config {
namespace {

bool LettersDigitsHyphens(std::string_view label) {
  return std::all_of(label.begin(), label.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// [RFC1035 2.3.4] labels of 1 to 63 octets, 253 in all; [RFC1123 2.1] no hyphen at either end.
absl::Status CheckLabels(std::string_view domain) {
  if (domain.empty() || domain.size() > 253)
    return base::Invalid("expected a domain of 1 to 253 octets");
  for (const std::string_view label : base::Split(domain, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
        !LettersDigitsHyphens(label)) {
      return base::Invalid(base::StrCat("expected a domain, \"", domain, "\" is none"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> NormalLocalPart(std::string_view text) {
  if (text.empty() || text.size() > 64)
    return base::Invalid("expected 1 to 64 octets before the @");
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F || std::strchr("<>()[],;:\\\"", c) != nullptr) {
      return base::Invalid("expected an address without blanks, quotes and brackets");
    }
  }
  if (text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos) {
    return base::Invalid("expected an address without empty parts between dots");
  }
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    return base::Lower(text);
  }
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  if (U_FAILURE(error)) return base::Internal("no NFC data in ICU");
  icu::UnicodeString wide = icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  if (wide.indexOf(static_cast<char16_t>(0xFFFD)) >= 0) return base::Invalid("expected UTF-8");
  wide = nfc->normalize(wide.foldCase(), error);
  std::string out;
  wide.toUTF8String(out);
  return out;
}

std::optional<std::string> TextOfAddress(int family, const unsigned char* bytes) {
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(family, bytes, text, sizeof(text)) == nullptr) return {};
  return text;
}

bool BitsBehindAreZero(const unsigned char* bytes, int size, int prefix) {
  for (int bit = prefix; bit < size * 8; ++bit) {
    if (bytes[bit / 8] & (0x80 >> (bit % 8))) return false;
  }
  return true;
}

bool IsNumericAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

}  // namespace

absl::StatusOr<std::string> NormalDomain(std::string_view text) {
  std::string given(base::Trim(text));
  if (!given.empty() && given.back() == '.') given.pop_back();
  char* ascii = nullptr;
  const int code = idn2_to_ascii_8z(given.c_str(), &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  std::string domain = code == IDN2_OK ? base::Lower(ascii) : base::Lower(given);
  idn2_free(ascii);
  RETURN_IF_ERROR(CheckLabels(domain));
  return domain;
}

absl::StatusOr<std::string> NormalAddress(std::string_view text) {
  const std::string_view given = base::Trim(text);
  const size_t at = given.rfind('@');
  if (at == std::string_view::npos) return base::Invalid("expected an address, local-part@domain");
  ASSIGN_OR_RETURN(const std::string local, NormalLocalPart(given.substr(0, at)));
  ASSIGN_OR_RETURN(const std::string domain, NormalDomain(given.substr(at + 1)));
  return base::StrCat(local, "@", domain);
}

absl::StatusOr<std::string> NormalNetwork(std::string_view text) {
  const std::string_view given = base::Trim(text);
  const size_t slash = given.find('/');
  const std::string address(given.substr(0, slash));
  unsigned char bytes[16];
  const int family = address.find(':') != std::string::npos ? AF_INET6 : AF_INET;
  const int size = family == AF_INET ? 4 : 16;
  if (inet_pton(family, address.c_str(), bytes) != 1) {
    return base::Invalid("expected a network, 192.0.2.0/24 or 2001:db8::/32");
  }
  int prefix = size * 8;
  if (slash != std::string_view::npos) {
    const std::optional<int> number = base::ParseInt<int>(given.substr(slash + 1));
    if (!number || *number < 0 || *number > size * 8) {
      return base::Invalid(base::StrCat("expected a prefix of 0 to ", size * 8, " bits"));
    }
    prefix = *number;
  }
  if (!BitsBehindAreZero(bytes, size, prefix)) {
    return base::Invalid(base::StrCat("address has bits behind its prefix of ", prefix));
  }
  return base::StrCat(TextOfAddress(family, bytes).value_or(address), "/", prefix);
}

absl::StatusOr<std::string> NormalHostPort(std::string_view text) {
  const std::string_view given = base::Trim(text);
  std::string_view host = given;
  std::string_view port;
  bool has_port = false;
  if (!given.empty() && given.front() == '[') {
    const size_t end = given.find(']');
    if (end == std::string_view::npos) return base::Invalid("expected a ] behind the address");
    host = given.substr(1, end - 1);
    has_port = end + 1 < given.size();
    if (has_port && given[end + 1] != ':') return base::Invalid("expected [address]:port");
    if (has_port) port = given.substr(end + 2);
  } else if (std::count(given.begin(), given.end(), ':') == 1) {
    has_port = true;
    host = given.substr(0, given.find(':'));
    port = given.substr(given.find(':') + 1);
  }
  const std::optional<int> number = base::ParseInt<int>(port);
  if (has_port && (!number || *number < 1 || *number > 65535)) {
    return base::Invalid("expected a port of 1 to 65535");
  }
  std::string name(host);
  if (!IsNumericAddress(name)) {
    ASSIGN_OR_RETURN(name, NormalDomain(host));
  }
  const bool v6 = name.find(':') != std::string::npos;
  if (!has_port) return name;
  return v6 ? base::StrCat("[", name, "]:", port) : base::StrCat(name, ":", port);
}

absl::StatusOr<std::string> NormalPem(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '\r') out.push_back(c);
  }
  size_t at = 0;
  int blocks = 0;
  constexpr std::string_view kBegin = "-----BEGIN ";
  while ((at = out.find(kBegin, at)) != std::string::npos) {
    const size_t name_end = out.find("-----", at + kBegin.size());
    if (name_end == std::string::npos) break;
    const std::string name = out.substr(at + kBegin.size(), name_end - at - kBegin.size());
    const size_t end = out.find(base::StrCat("-----END ", name, "-----"), name_end);
    if (end == std::string::npos)
      return base::Invalid(base::StrCat("PEM block ", name, " has no end line"));
    ++blocks;
    at = end;
  }
  if (blocks == 0) return base::Invalid("expected PEM text (-----BEGIN …)");
  if (out.back() != '\n') out.push_back('\n');
  return out;
}

}  // namespace posthorn::config
