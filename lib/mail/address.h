#pragma once

// Addresses as SMTP writes them [RFC5321 4.1.2] and as header fields write them [RFC5322 3.4].
// Pure functions, safe on any thread; nothing here throws or blocks.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::mail {

enum class Utf8 { kRefuse, kAllow };  // [RFC6531 3.3]: only when the client asked for SMTPUTF8

// Longer ones are refused. The standard only demands 64 and 255 [RFC5321 4.5.3.1]; return
// addresses of mailing lists are often longer than 64.
inline constexpr size_t kMaxLocalPart = 255;
inline constexpr size_t kMaxDomain = 255;

// A reverse-path or forward-path without its source route.
struct Path {
  std::string local;   // without quoting
  std::string domain;  // as written; an address literal with its brackets; empty: postmaster only

  bool IsNull() const { return local.empty() && domain.empty(); }  // "<>"
  bool IsLiteral() const { return domain.starts_with('['); }
  // "local@domain", the local part quoted when it must be; "" for the null path.
  std::string Address() const;
  friend bool operator==(const Path&, const Path&) = default;
};

// `rest` starts with a path ("<...>"); on success it is left behind the path. InvalidArgument
// says what was expected. ConsumeReversePath allows "<>", ConsumeForwardPath "<postmaster>".
absl::StatusOr<Path> ConsumeReversePath(std::string_view& rest, Utf8 utf8);
absl::StatusOr<Path> ConsumeForwardPath(std::string_view& rest, Utf8 utf8);
// The whole of `text` as local-part "@" (domain / address-literal).
absl::StatusOr<Path> ParseMailbox(std::string_view text, Utf8 utf8);
// A domain name or, with UTF-8 allowed, U-labels. No address literal.
bool IsDomain(std::string_view text, Utf8 utf8);
// "[192.0.2.1]" or "[IPv6:2001:db8::1]".
bool IsAddressLiteral(std::string_view text);
// `local` as it must be written before the "@": as it is when a dot-string, else quoted.
std::string QuoteLocal(std::string_view local);

// Normal forms: what two spellings of one address share; for look-ups and comparisons.
// Local part: NFC, case folded. Bytes that are not UTF-8 are only lower-cased where ASCII.
std::string NormalLocal(std::string_view local);
// Domain: A-labels, lower case, no final dot; an address literal in lower case. Nothing when it
// has labels that IDNA forbids.
std::optional<std::string> NormalDomain(std::string_view domain);
// "local@domain" of both normal forms, split at the last "@"; nothing without one or with a bad
// domain. A quoted local part loses quotes it does not need.
std::optional<std::string> NormalAddress(std::string_view address);
std::optional<std::string> NormalAddress(const Path& path);

enum class AddressKind { kMailbox, kGroupStart, kGroupEnd };

// One element of an address list, in the shape of IMAP's ENVELOPE [RFC9051 7.5.2].
struct Address {
  AddressKind kind = AddressKind::kMailbox;
  std::string name;    // phrase without quoting; encoded words are left encoded; a group's name
  std::string route;   // "@a,@b" of an obsolete route
  std::string local;   // without quoting
  std::string domain;  // empty when the address has none
  friend bool operator==(const Address&, const Address&) = default;
};

inline constexpr size_t kMaxAddresses = 10'000;  // in one list; what follows is dropped

// The raw value of an address field, obsolete and broken forms included [RFC5322 4.4]. Total:
// what is no address becomes one without domain. Linear time.
std::vector<Address> ParseAddressList(std::string_view field);

}  // namespace posthorn::mail
