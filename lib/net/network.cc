#include "lib/net/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "lib/base/strings.h"

namespace posthorn::net {
namespace {

// [RFC4291 2.5.5.2]
constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

struct Network {
  Address address;
  int bits = 0;
};

bool IsMapped(const uint8_t* bytes) { return std::equal(kMapped.begin(), kMapped.end(), bytes); }

// As written: a v4-mapped address stays IPv6.
std::optional<Address> ParseAsWritten(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.empty() || text.size() >= sizeof(terminated)) return {};
  std::memcpy(terminated, text.data(), text.size());
  if (std::strlen(terminated) != text.size()) return {};
  Address address;
  address.is_v4 = inet_pton(AF_INET, terminated, address.bytes.data()) == 1;
  if (address.is_v4 || inet_pton(AF_INET6, terminated, address.bytes.data()) == 1) return address;
  return {};
}

Address Unmapped(const Address& address) {
  if (address.is_v4 || !IsMapped(address.bytes.data())) return address;
  Address v4;
  v4.is_v4 = true;
  std::copy_n(address.bytes.begin() + kMapped.size(), 4, v4.bytes.begin());
  return v4;
}

std::optional<Network> ParseNetwork(std::string_view cidr) {
  const size_t slash = cidr.find('/');
  const auto address = ParseAsWritten(cidr.substr(0, slash));
  if (!address) return {};
  const int width = address->is_v4 ? 32 : 128;
  int bits = width;
  if (slash != std::string_view::npos) {
    const auto parsed = base::ParseInt<int>(cidr.substr(slash + 1));
    if (!parsed || *parsed < 0 || *parsed > width) return {};
    bits = *parsed;
  }
  const Address unmapped = Unmapped(*address);
  if (unmapped.is_v4 == address->is_v4) return Network{*address, bits};
  // A part of ::ffff:0:0/96 is an IPv4 network; a wider one holds no IPv4 address here.
  if (bits < kMappedBits) return Network{*address, bits};
  return Network{unmapped, bits - kMappedBits};
}

bool SamePrefix(const Address& a, const Address& b, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin())) return false;
  if (bits % 8 == 0) return true;
  const int difference = a.bytes[whole] ^ b.bytes[whole];
  return (difference >> (8 - bits % 8)) == 0;
}

}  // namespace

std::optional<Address> ParseAddress(std::string_view text) {
  const auto address = ParseAsWritten(text);
  if (!address) return {};
  return Unmapped(*address);
}

std::string FormatV4(const uint8_t* bytes) {
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, bytes, text, sizeof(text));
}

std::string FormatV6(const uint8_t* bytes) {
  if (IsMapped(bytes)) return FormatV4(bytes + kMapped.size());
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, bytes, text, sizeof(text));
}

bool InNetwork(std::string_view address, std::string_view cidr) {
  const auto parsed = ParseAddress(address);
  const auto network = ParseNetwork(cidr);
  return parsed && network && parsed->is_v4 == network->address.is_v4 &&
         SamePrefix(*parsed, network->address, network->bits);
}

bool ValidNetwork(std::string_view cidr) { return ParseNetwork(cidr).has_value(); }

bool IsPublicAddress(const Address& address) {
  const auto& b = address.bytes;
  if (address.is_v4) {
    const bool special = b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 ||
                         (b[0] == 169 && b[1] == 254) || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
                         (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64);
    return !special;
  }
  bool small = true;  // :: and ::1
  for (size_t i = 0; i < 15; ++i) small = small && b[i] == 0;
  if (small && b[15] <= 1) return false;
  const bool unique_local = (b[0] & 0xfe) == 0xfc;
  const bool link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
  return !unique_local && !link_local && b[0] != 0xff;
}

}  // namespace posthorn::net
