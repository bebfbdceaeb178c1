#pragma once

// Numeric addresses and networks. Pure.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::net {

// An address in network byte order. v4-mapped IPv6 addresses become IPv4.
struct Address {
  bool is_v4 = false;
  std::array<uint8_t, 16> bytes{};  // the first four of an IPv4 address
};
// Nothing for names, zones, brackets and anything else that is not one numeric address.
std::optional<Address> ParseAddress(std::string_view text);
// The usual text; from 4 or 16 bytes, v4-mapped as v4.
std::string FormatV4(const uint8_t* bytes);
std::string FormatV6(const uint8_t* bytes);

// False for loopback, private, link-local, multicast and unspecified addresses [RFC6890]: no
// foreign list or record has anything to say about them.
bool IsPublicAddress(const Address& address);

// True when `address` (numeric) lies in `cidr` ("192.0.2.0/24", "::1"); false for anything
// malformed.
bool InNetwork(std::string_view address, std::string_view cidr);
bool ValidNetwork(std::string_view cidr);

}  // namespace posthorn::net
