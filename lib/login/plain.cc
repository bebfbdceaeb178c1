#include "lib/base/strings.h"
#include "lib/login/login.h"

namespace posthorn::login {

std::optional<Plain> ParsePlain(std::string_view message) {
  const size_t first = message.find('\0');
  if (first == std::string_view::npos) return {};
  const size_t second = message.find('\0', first + 1);
  if (second == std::string_view::npos) return {};
  const std::string_view authzid = message.substr(0, first);
  const std::string_view authcid = message.substr(first + 1, second - first - 1);
  const std::string_view password = message.substr(second + 1);
  // [RFC4616 2] each part is at most 255 octets; longer passwords are met in practice.
  if (authcid.empty() || password.empty() || authcid.size() > 1024 || password.size() > 4096)
    return {};
  if (password.find('\0') != std::string_view::npos) return {};
  if (!authzid.empty() && !base::EqualsIgnoreCase(authzid, authcid)) return {};
  return Plain{std::string(authcid), std::string(password)};
}

}  // namespace posthorn::login
