#pragma once

// Record data from the wire and names for questions. Pure; malformed data is left out, never an
// error.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/dns/resolver.h"

namespace posthorn::dns {

// "192.0.2.1" or "2001:db8::1" for A and AAAA data; nothing for anything else.
std::optional<std::string> AddressFromData(std::string_view data);
// [RFC1035 3.1] an uncompressed name; lower case, without the last dot ("" for the root). What is
// no host name character is escaped as \DDD. `used`: bytes it takes.
std::optional<std::string> NameFromData(std::string_view data, size_t* used = nullptr);
// [RFC7208 3.3] [RFC1035 3.3.14] all strings of a TXT record joined, without anything between.
std::optional<std::string> TextFromData(std::string_view data);

struct MxHost {
  uint16_t preference = 0;
  std::string name;  // "" in a null MX
  bool operator==(const MxHost&) const = default;
};
std::optional<MxHost> MxFromData(std::string_view data);

// The name in the presentation form a resolver takes, each octet outside printable ASCII escaped;
// kInvalidArgument for an empty label, a label over 63 octets or a name over 253 ([RFC1035 2.3.4]).
absl::StatusOr<std::string> QuestionName(std::string_view name);

// "1.2.0.192.in-addr.arpa" for 192.0.2.1; nothing when `address` is not numeric. [RFC1035 3.5]
// [RFC3596 2.5]
std::optional<std::string> ReverseName(std::string_view address);
// The labels in front of the zone alone: "1.2.0.192", or 32 nibbles. [RFC5782 2.1, 2.4]
std::optional<std::string> ReversedLabels(std::string_view address);

}  // namespace posthorn::dns
