#pragma once

// SPF macros [RFC7208 7]. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/net/network.h"

namespace posthorn::spam_service {

// What the letters stand for.
struct MacroValues {
  std::string sender;                 // s: "strong-bad@email.example.com"
  std::string local;                  // l: its local part
  std::string origin;                 // o: its domain
  std::string domain;                 // d: the domain whose record is evaluated
  net::Address client;                // i, c, v
  std::string validated = "unknown";  // p
  std::string helo;                   // h
  std::string receiver;               // r
  int64_t now = 0;                    // t: seconds since 1970
};

// macro-string of a record: no letters c, r, t.
bool IsMacroString(std::string_view text);
// domain-spec = macro-string domain-end
bool IsDomainSpec(std::string_view text);
// True when the letter p occurs: finding the validated name takes DNS questions.
bool UsesValidatedName(std::string_view text);

// The expansion of a valid domain-spec; labels are dropped from the left until it has at most 253
// octets.
std::string ExpandDomain(std::string_view spec, const MacroValues& values);
// The expansion of an explanation text ([RFC7208 6.2]); nothing when its macros are malformed.
std::optional<std::string> ExpandText(std::string_view text, const MacroValues& values);

}  // namespace posthorn::spam_service
