#pragma once

// Normal forms of the strings that configuration knows (FieldRules.Form): two spellings of one
// thing become equal. Pure. Errors say what was expected.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::config {

// Lower case A-label form without the trailing dot ([RFC5890 2.3.2.1], [RFC1035 2.3.4]).
absl::StatusOr<std::string> NormalDomain(std::string_view text);
// local-part@domain: local part in lower case and NFC, domain as above ([RFC5321 4.5.3.1.1]: at
// most 64 octets).
absl::StatusOr<std::string> NormalAddress(std::string_view text);
// "192.0.2.0/24", "2001:db8::/32", "192.0.2.1" (as /32); bits behind the prefix must be 0.
absl::StatusOr<std::string> NormalNetwork(std::string_view text);
// "host", "host:port", "192.0.2.1:25", "[2001:db8::1]:25".
absl::StatusOr<std::string> NormalHostPort(std::string_view text);
// At least one PEM block, each with its matching end line.
absl::StatusOr<std::string> NormalPem(std::string_view text);

}  // namespace posthorn::config
