#include "lib/mail/address.h"

#include <arpa/inet.h>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mail/utf8.h"

namespace posthorn::mail {
namespace {

bool IsAtext(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool IsLetDig(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool Is8Bit(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// sub-domain = Let-dig [Ldh-str]
bool IsLabel(std::string_view label, Utf8 utf8) {
  if (label.empty() || label.front() == '-' || label.back() == '-') return false;
  bool wide = false;
  for (const char c : label) {
    if (IsLetDig(c) || c == '-') continue;
    if (utf8 == Utf8::kRefuse || !Is8Bit(c)) return false;
    wide = true;
  }
  return wide ? IsUtf8(label) : label.size() <= 63;
}

// Quoted-string = DQUOTE *QcontentSMTP DQUOTE; false when not closed or a byte is not allowed.
bool ConsumeQuoted(std::string_view& rest, Utf8 utf8, std::string& local) {
  rest.remove_prefix(1);
  while (!rest.empty()) {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"') return IsUtf8(local);
    if (c == '\\') {
      if (rest.empty()) return false;
      c = rest.front();
      rest.remove_prefix(1);
      if (c < 32 || c > 126) return false;
    } else if (c < 32 || c == 127) {
      if (!Is8Bit(c) || utf8 == Utf8::kRefuse) return false;
    }
    local.push_back(c);
  }
  return false;
}

// Dot-string = Atom *("." Atom)
bool ConsumeDotString(std::string_view& rest, Utf8 utf8, std::string& local) {
  size_t at = 0;
  while (at < rest.size()) {
    const char c = rest[at];
    if (c == '.') {
      if (at == 0 || rest[at - 1] == '.') return false;
    } else if (!IsAtext(c) && !(Is8Bit(c) && utf8 == Utf8::kAllow)) {
      break;
    }
    ++at;
  }
  if (at == 0 || rest[at - 1] == '.') return false;
  local = rest.substr(0, at);
  rest.remove_prefix(at);
  return IsUtf8(local);
}

bool ConsumeDomain(std::string_view& rest, Utf8 utf8, std::string& domain) {
  size_t end = 0;
  if (rest.starts_with('[')) {
    end = rest.find(']');
    if (end == std::string_view::npos) return false;
    domain = rest.substr(0, ++end);
    rest.remove_prefix(end);
    return IsAddressLiteral(domain);
  }
  while (end < rest.size() && rest[end] != '>' && rest[end] != ' ' && rest[end] != ',' &&
         rest[end] != ':')
    ++end;
  domain = rest.substr(0, end);
  rest.remove_prefix(end);
  return IsDomain(domain, utf8);
}

enum class DomainNeed { kRequired, kPostmasterWithout };

absl::Status ConsumeMailbox(std::string_view& rest, Utf8 utf8, DomainNeed need, Path& path) {
  const bool quoted = rest.starts_with('"');
  if (quoted ? !ConsumeQuoted(rest, utf8, path.local) : !ConsumeDotString(rest, utf8, path.local))
    return base::Invalid("bad local part");
  if (path.local.size() > kMaxLocalPart) return base::Invalid("local part too long");
  if (!rest.starts_with('@')) {
    if (need == DomainNeed::kPostmasterWithout && base::EqualsIgnoreCase(path.local, "postmaster"))
      return absl::OkStatus();
    return base::Invalid("address without domain");
  }
  rest.remove_prefix(1);
  if (!ConsumeDomain(rest, utf8, path.domain)) return base::Invalid("bad domain");
  return absl::OkStatus();
}

// A-d-l = At-domain *( "," At-domain ), then ":". Read and dropped [RFC5321 4.1.1.3, F.2].
absl::Status DropRoute(std::string_view& rest, Utf8 utf8) {
  std::string domain;
  while (rest.starts_with('@')) {
    rest.remove_prefix(1);
    if (!ConsumeDomain(rest, utf8, domain)) return base::Invalid("bad source route");
    if (rest.starts_with(":")) {
      rest.remove_prefix(1);
      return absl::OkStatus();
    }
    if (!rest.starts_with(",")) break;
    rest.remove_prefix(1);
  }
  return base::Invalid("bad source route");
}

absl::StatusOr<Path> ConsumePath(std::string_view& rest, Utf8 utf8, DomainNeed need) {
  if (!rest.starts_with('<')) return base::Invalid("path without \"<\"");
  std::string_view left = rest.substr(1);
  if (left.starts_with('@')) {
    RETURN_IF_ERROR(DropRoute(left, utf8));
  }
  Path path;
  RETURN_IF_ERROR(ConsumeMailbox(left, utf8, need, path));
  if (!left.starts_with('>')) return base::Invalid("path without \">\"");
  rest = left.substr(1);
  return path;
}

}  // namespace

std::string Path::Address() const {
  if (IsNull()) return {};
  if (domain.empty()) return QuoteLocal(local);
  return base::StrCat(QuoteLocal(local), '@', domain);
}

std::string QuoteLocal(std::string_view local) {
  bool plain = !local.empty() && local.front() != '.' && local.back() != '.' &&
               local.find("..") == std::string_view::npos;
  for (const char c : local) plain = plain && (IsAtext(c) || c == '.' || Is8Bit(c));
  if (plain) return std::string(local);
  std::string out = "\"";
  for (const char c : local) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

bool IsDomain(std::string_view text, Utf8 utf8) {
  if (text.empty() || text.size() > kMaxDomain) return false;
  for (;;) {
    const size_t dot = text.find('.');
    if (!IsLabel(text.substr(0, dot), utf8)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool IsAddressLiteral(std::string_view text) {
  if (text.size() < 3 || text.size() > 60 || text.front() != '[' || text.back() != ']')
    return false;
  const std::string inner(text.substr(1, text.size() - 2));
  if (inner.find('\0') != std::string::npos) return false;
  in6_addr storage;
  if (base::StartsWithIgnoreCase(inner, "IPv6:"))
    return inet_pton(AF_INET6, inner.c_str() + 5, &storage) == 1;
  return inet_pton(AF_INET, inner.c_str(), &storage) == 1;
}

absl::StatusOr<Path> ConsumeReversePath(std::string_view& rest, Utf8 utf8) {
  if (rest.starts_with("<>")) {
    rest.remove_prefix(2);
    return Path();
  }
  return ConsumePath(rest, utf8, DomainNeed::kRequired);
}

absl::StatusOr<Path> ConsumeForwardPath(std::string_view& rest, Utf8 utf8) {
  return ConsumePath(rest, utf8, DomainNeed::kPostmasterWithout);
}

absl::StatusOr<Path> ParseMailbox(std::string_view text, Utf8 utf8) {
  Path path;
  RETURN_IF_ERROR(ConsumeMailbox(text, utf8, DomainNeed::kRequired, path));
  if (!text.empty()) return base::Invalid("text behind the address");
  return path;
}

}  // namespace posthorn::mail
