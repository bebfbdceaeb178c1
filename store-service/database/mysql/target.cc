#include "store-service/database/mysql/target.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::mysql {
namespace {

constexpr std::string_view kScheme = "mysql://";
constexpr size_t kMaxName = 64;  // of a schema and of a user, in both servers at least

absl::StatusOr<uint16_t> ParsePort(std::string_view text) {
  const auto port = base::ParseInt<uint16_t>(text);
  if (!port || *port == 0) return base::Invalid(base::StrCat("bad port \"", text, "\""));
  return *port;
}

absl::StatusOr<Host> ParseHost(std::string_view text) {
  Host host;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return base::Invalid("\"]\" is missing after the address");
    host.name = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return base::Invalid("\":\" expected after \"]\"");
  } else {
    const size_t colon = text.find(':');
    host.name = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (host.name.empty()) return base::Invalid("a host is empty");
  if (host.name.find_first_of("/@? \t") != std::string::npos) {
    return base::Invalid(base::StrCat("bad host \"", host.name, "\""));
  }
  if (!rest.empty()) {
    ASSIGN_OR_RETURN(host.port, ParsePort(rest.substr(1)));
  }
  return host;
}

// What may stand in SQL between backticks and in a path without any escaping.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

absl::StatusOr<Target> Parse(std::string_view url) {
  if (!url.starts_with(kScheme)) return base::Invalid("it must begin with mysql://");
  url.remove_prefix(kScheme.size());
  const size_t slash = url.rfind('/');
  if (slash == std::string_view::npos) return base::Invalid("/NAME is missing at the end");
  Target target;
  target.database = url.substr(slash + 1);
  if (!IsPlainName(target.database)) return base::Invalid("bad database name");
  url = url.substr(0, slash);
  const size_t at = url.rfind('@');
  if (at == std::string_view::npos || at == 0) return base::Invalid("USER@ is missing");
  target.user = url.substr(0, at);
  if (target.user.find(':') != std::string::npos) {
    return base::Invalid("the password belongs into --database-password-file");
  }
  for (const std::string_view host : base::Split(url.substr(at + 1), ',')) {
    ASSIGN_OR_RETURN(Host parsed, ParseHost(host));
    target.hosts.push_back(std::move(parsed));
  }
  return target;
}

}  // namespace

absl::StatusOr<Target> ParseTarget(std::string_view url) {
  absl::StatusOr<Target> target = Parse(url);
  if (!target.ok()) {
    return base::Annotate(target.status(), "database mysql://USER@HOST[:PORT][,HOST…]/NAME");
  }
  return target;
}

std::string ToString(const Host& host) {
  const bool v6 = host.name.find(':') != std::string::npos;
  return v6 ? base::StrCat("[", host.name, "]:", host.port)
            : base::StrCat(host.name, ":", host.port);
}

std::string ToString(const Target& target) {
  std::vector<std::string> hosts;
  for (const Host& host : target.hosts) hosts.push_back(ToString(host));
  return base::StrCat(target.user, "@", base::Join(hosts, ","), "/", target.database);
}

}  // namespace posthorn::mysql
