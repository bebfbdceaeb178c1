#include "lib/net/proxy_protocol.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "lib/base/crc32c.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"

namespace posthorn::net {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kV1Start = "PROXY ";
constexpr size_t kV1Longest = 107;  // with CRLF
constexpr size_t kV1Shortest = 15;  // "PROXY UNKNOWN" with CRLF
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2Fixed = 16;
constexpr size_t kV2Longest = 16384;  // ours: room for the TLVs of load balancers
constexpr uint8_t kTlvCrc32c = 3;

uint8_t Byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
size_t Number16(std::string_view bytes, size_t at) {
  return static_cast<size_t>(Byte(bytes, at) << 8 | Byte(bytes, at + 1));
}

ProxyHeader NeedMore(size_t missing) { return {.state = State::kNeedMore, .missing = missing}; }
ProxyHeader Bad() { return {.state = State::kBad}; }
ProxyHeader Done(size_t size) { return {.state = State::kDone, .size = size}; }

// True when `bytes` may still become something that begins with `start`.
bool Begins(std::string_view bytes, std::string_view start) {
  return bytes.substr(0, start.size()) == start.substr(0, bytes.size());
}

bool ParsePort(std::string_view text, uint16_t& port) {
  const auto parsed = base::ParseInt<uint16_t>(text);
  if (!parsed || (text.size() > 1 && text[0] == '0')) return false;
  port = *parsed;
  return true;
}

// The family as announced: "::ffff:192.0.2.1" is a TCP6 address, and shown as IPv4.
bool ParseAnnounced(std::string_view text, std::string_view family, std::string& address) {
  const bool colon = text.find(':') != std::string_view::npos;
  if (colon != (family == "TCP6")) return false;
  const auto parsed = ParseAddress(text);
  if (!parsed) return false;
  address = parsed->is_v4 ? FormatV4(parsed->bytes.data()) : FormatV6(parsed->bytes.data());
  return true;
}

ProxyHeader ParseV1Line(std::string_view line) {
  const auto words = base::Split(line, ' ');
  if (words.size() >= 2 && words[1] == "UNKNOWN") return Done(line.size() + 2);
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) return Bad();
  ProxyHeader header = Done(line.size() + 2);
  const bool good = ParseAnnounced(words[2], words[1], header.source.address) &&
                    ParseAnnounced(words[3], words[1], header.destination.address) &&
                    ParsePort(words[4], header.source.port) &&
                    ParsePort(words[5], header.destination.port);
  return good ? header : Bad();
}

ProxyHeader ParseV1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kV1Longest).find("\r\n");
  if (end != std::string_view::npos) return ParseV1Line(bytes.substr(0, end));
  if (bytes.size() >= kV1Longest) return Bad();
  if (bytes.size() < kV1Shortest) return NeedMore(kV1Shortest - bytes.size());
  return NeedMore(bytes.back() == '\r' ? 1 : 2);
}

// The TLVs must fill the header; of their content only the checksum matters here.
bool GoodTlvs(std::string_view header, size_t at) {
  while (at < header.size()) {
    if (header.size() - at < 3) return false;
    const size_t length = Number16(header, at + 1);
    if (header.size() - at - 3 < length) return false;
    if (Byte(header, at) == kTlvCrc32c) {
      if (length != 4) return false;
      // The sum is over the header with zeros in place of the sum.
      std::string zeroed(header);
      zeroed.replace(at + 3, 4, 4, '\0');
      const size_t sum = Number16(header, at + 3) << 16 | Number16(header, at + 5);
      if (base::Crc32c(zeroed) != sum) return false;
    }
    at += 3 + length;
  }
  return true;
}

ProxyHeader ParseV2Announced(std::string_view header, std::string (*format)(const uint8_t*),
                             size_t width) {
  const size_t tlvs = kV2Fixed + 2 * width + 4;
  if (header.size() < tlvs || !GoodTlvs(header, tlvs)) return Bad();
  const auto* addresses = reinterpret_cast<const uint8_t*>(header.data()) + kV2Fixed;
  ProxyHeader result = Done(header.size());
  result.source = {format(addresses), static_cast<uint16_t>(Number16(header, tlvs - 4))};
  result.destination = {format(addresses + width),
                        static_cast<uint16_t>(Number16(header, tlvs - 2))};
  return result;
}

ProxyHeader ParseV2(std::string_view bytes) {
  if (bytes.size() < kV2Fixed) return NeedMore(kV2Fixed - bytes.size());
  const uint8_t version = Byte(bytes, 12) >> 4;
  const uint8_t command = Byte(bytes, 12) & 0xf;
  const size_t size = kV2Fixed + Number16(bytes, 14);
  if (version != 2 || command > 1 || size > kV2Longest) return Bad();
  if (bytes.size() < size) return NeedMore(size - bytes.size());
  if (command == 0) return Done(size);  // LOCAL: a health check of the proxy itself
  switch (Byte(bytes, 13)) {
    case 0x11:
      return ParseV2Announced(bytes.substr(0, size), FormatV4, 4);
    case 0x21:
      return ParseV2Announced(bytes.substr(0, size), FormatV6, 16);
    case 0x00:  // unspecified
    case 0x12:  // datagrams and unix sockets: nothing that could be an address of this connection
    case 0x22:
    case 0x31:
    case 0x32:
      return Done(size);
    default:
      return Bad();
  }
}

}  // namespace

ProxyHeader ParseProxyHeader(std::string_view bytes) {
  if (bytes.empty()) return NeedMore(kV1Shortest);
  if (Begins(bytes, kV1Start)) return ParseV1(bytes);
  if (Begins(bytes, kV2Signature)) return ParseV2(bytes);
  return Bad();
}

bool ProxyGuard::Sees(std::string_view bytes) {
  for (const char byte : bytes) {
    may_be_v1_ = may_be_v1_ && position_ < kV1Start.size() && kV1Start[position_] == byte;
    may_be_v2_ = may_be_v2_ && position_ < kV2Signature.size() && kV2Signature[position_] == byte;
    if (!may_be_v1_ && !may_be_v2_) return false;
    ++position_;
    if (may_be_v1_ && position_ == kV1Start.size()) return true;
    if (may_be_v2_ && position_ == kV2Signature.size()) return true;
  }
  return false;
}

}  // namespace posthorn::net
