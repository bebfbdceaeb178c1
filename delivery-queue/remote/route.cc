#include "delivery-queue/remote/route.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::delivery_queue {

HostPort ParseHostPort(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return {std::string(text), 0};
    const std::string_view rest = text.substr(close + 1);
    const auto port =
        base::ParseInt<uint16_t>(rest.starts_with(':') ? rest.substr(1) : std::string_view());
    return {std::string(text.substr(1, close - 1)), port.value_or(0)};
  }
  const size_t colon = text.find(':');
  // Several colons without brackets: an IPv6 address.
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos)
    return {std::string(text), 0};
  return {std::string(text.substr(0, colon)),
          base::ParseInt<uint16_t>(text.substr(colon + 1)).value_or(0)};
}

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() &&
               (pattern[p] == '?' || base::ToLower(pattern[p]) == base::ToLower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

const Route* FindRoute(const std::vector<Route>& routes, std::string_view domain) {
  const Route* best = nullptr;
  size_t best_literal = 0;
  for (const Route& route : routes) {
    if (base::EqualsIgnoreCase(route.domain, domain)) return &route;
    if (!MatchesPattern(route.domain, domain)) continue;
    const auto literal = static_cast<size_t>(
        std::ranges::count_if(route.domain, [](char c) { return c != '*' && c != '?'; }));
    if (best != nullptr && literal <= best_literal) continue;
    best = &route;
    best_literal = literal;
  }
  return best;
}

}  // namespace posthorn::delivery_queue
