#include "lib/net/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>

#include "lib/base/crc32c.h"
#include "lib/base/strings.h"

namespace posthorn::net {
namespace {

using State = ProxyHeader::State;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string Number16(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}
std::string V2(char command, char family, const std::string& payload) {
  return kSignature + command + family + Number16(payload.size()) + payload;
}
const std::string kAddresses4("\xc0\x00\x02\x01\xc6\x33\x64\x02\x9c\x40\x00\x19", 12);
std::string Tlv(char type, const std::string& value) {
  return type + Number16(value.size()) + value;
}
// A header whose CRC32C TLV is right, or off by `off`.
std::string WithSum(uint32_t off) {
  const std::string before = kAddresses4 + Tlv(1, "h2") + std::string("\x03\x00\x04", 3);
  std::string header = V2(0x21, 0x11, before + std::string(4, '\0'));
  const uint32_t sum = base::Crc32c(header) + off;
  header.resize(header.size() - 4);
  for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>(sum >> shift & 0xff);
  return header;
}

struct Case {
  std::string bytes;
  State state;
  std::string source;
  uint16_t source_port;
  std::string destination;
  uint16_t destination_port;
};

std::vector<Case> Cases() {
  const std::string six = base::UnHex("20010db8000000000000000000000001").value();
  const std::string mapped = base::UnHex("00000000000000000000ffffc0000207").value();
  const std::string ports("\x9c\x40\x00\x19", 4);
  return {
      {"PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", State::kDone, "192.0.2.1", 40000,
       "198.51.100.2", 25},
      {"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", State::kDone, "2001:db8::1", 1,
       "2001:db8::2", 65535},
      {"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::2 1 2\r\n", State::kDone, "192.0.2.7", 1,
       "2001:db8::2", 2},
      {"PROXY UNKNOWN\r\n", State::kDone, "", 0, "", 0},
      {"PROXY UNKNOWN ffff:f...f:ffff 1 2 3\r\n", State::kDone, "", 0, "", 0},
      {"PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP4 2001:db8::1 198.51.100.2 40000 25\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP6 192.0.2.1 198.51.100.2 40000 25\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP4 192.0.2.1 198.51.100.2 040000 25\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP4 192.0.2.1 198.51.100.2 40000 65536\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP4  192.0.2.1 198.51.100.2 40000 25\r\n", State::kBad, "", 0, "", 0},
      {"PROXY UDP4 192.0.2.1 198.51.100.2 40000 25\r\n", State::kBad, "", 0, "", 0},
      {"PROXY TCP4 " + std::string(96, '1'), State::kBad, "", 0, "", 0},
      {"EHLO client.example\r\n", State::kBad, "", 0, "", 0},
      {"proxy UNKNOWN\r\n\r\n", State::kBad, "", 0, "", 0},
      {V2(0x21, 0x11, kAddresses4), State::kDone, "192.0.2.1", 40000, "198.51.100.2", 25},
      {V2(0x21, 0x11, kAddresses4 + Tlv(4, "pad") + Tlv(0x20, "")), State::kDone, "192.0.2.1",
       40000, "198.51.100.2", 25},
      {V2(0x21, 0x21, six + mapped + ports), State::kDone, "2001:db8::1", 40000, "192.0.2.7", 25},
      {V2(0x20, 0x00, ""), State::kDone, "", 0, "", 0},
      {V2(0x20, 0x11, kAddresses4), State::kDone, "", 0, "", 0},
      {V2(0x21, 0x00, "whatever"), State::kDone, "", 0, "", 0},
      {V2(0x21, 0x31, std::string(216, 'u')), State::kDone, "", 0, "", 0},
      {WithSum(0), State::kDone, "192.0.2.1", 40000, "198.51.100.2", 25},
      {WithSum(1), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x11, kAddresses4 + Tlv(3, "123")), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x11, kAddresses4 + "\x04"), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x11, kAddresses4 + std::string("\x04\x00\x09x", 4)), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x11, kAddresses4.substr(1)), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x41, kAddresses4), State::kBad, "", 0, "", 0},
      {V2(0x22, 0x11, kAddresses4), State::kBad, "", 0, "", 0},
      {V2(0x11, 0x11, kAddresses4), State::kBad, "", 0, "", 0},
      {V2(0x21, 0x00, std::string(20000, 'x')), State::kBad, "", 0, "", 0},
  };
}

// Feeds `stream` as the listener does: never more than what is missing, at most `chunk` at a time.
std::pair<ProxyHeader, size_t> Feed(const std::string& stream, size_t chunk) {
  size_t given = 0;
  ProxyHeader header = ParseProxyHeader({});
  while (header.state == State::kNeedMore && given < stream.size()) {
    given = std::min(stream.size(), given + std::min(chunk, header.missing));
    header = ParseProxyHeader(std::string_view(stream).substr(0, given));
  }
  return {header, given};
}

TEST(ProxyHeader, IsParsedAlikeInChunksOfAnySize) {
  for (const Case& c : Cases()) {
    for (const size_t chunk : {1u, 7u, 100000u}) {
      const auto [header, given] = Feed(c.bytes + "EHLO x\r\n", chunk);
      EXPECT_EQ(header.state, c.state) << c.bytes << " by " << chunk;
      EXPECT_EQ(header.source, (Endpoint{c.source, c.source_port})) << c.bytes;
      EXPECT_EQ(header.destination, (Endpoint{c.destination, c.destination_port})) << c.bytes;
      // What follows the header is never touched.
      const bool done = c.state == State::kDone;
      EXPECT_EQ(done ? header.size : c.bytes.size(), c.bytes.size()) << c.bytes;
      EXPECT_EQ(done ? given : c.bytes.size(), c.bytes.size()) << c.bytes;
    }
  }
}

bool GuardSees(const std::string& stream, size_t chunk) {
  ProxyGuard guard;
  bool seen = false;
  for (size_t at = 0; at < stream.size(); at += chunk) {
    seen = guard.Sees(std::string_view(stream).substr(at, chunk)) || seen;
  }
  return seen;
}

TEST(ProxyGuard, SeesHeadersOnlyAtTheBeginning) {
  for (const size_t chunk : {1u, 7u, 1000u}) {
    EXPECT_TRUE(GuardSees("PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", chunk));
    EXPECT_TRUE(GuardSees(V2(0x21, 0x11, kAddresses4), chunk));
    EXPECT_FALSE(GuardSees("PROXI\r\nPROXY UNKNOWN\r\n", chunk));
    EXPECT_FALSE(GuardSees("\r\n\r\nQUIT\r\n" + kSignature, chunk));
    EXPECT_FALSE(GuardSees("EHLO PROXY \r\n", chunk));
  }
}

}  // namespace
}  // namespace posthorn::net
