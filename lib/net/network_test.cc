#include "lib/net/network.h"

#include <gtest/gtest.h>

namespace posthorn::net {
namespace {

struct Case {
  const char* address;
  const char* cidr;
  bool inside;
};

TEST(InNetwork, ComparesWholeAndPartBytesOfBothFamilies) {
  const Case cases[] = {
      {"192.0.2.1", "192.0.2.0/24", true},
      {"192.0.3.1", "192.0.2.0/24", false},
      {"192.0.3.255", "192.0.2.0/23", true},
      {"192.0.4.0", "192.0.2.0/23", false},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.2", "192.0.2.1", false},
      {"192.0.2.2", "0.0.0.0/0", true},
      {"192.0.2.2", "::/0", false},
      {"2001:db8::1", "0.0.0.0/0", false},
      {"2001:db8::1", "::/0", true},
      {"2001:db8:0:1::5", "2001:db8::/32", true},
      {"2001:db9::1", "2001:db8::/32", false},
      {"::1", "::1", true},
      {"::ffff:192.0.2.7", "192.0.2.0/24", true},
      {"192.0.2.7", "::ffff:192.0.2.0/120", true},
      {"192.0.3.7", "::ffff:192.0.2.0/120", false},
      {"192.0.2.7", "::ffff:0:0/96", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(InNetwork(c.address, c.cidr), c.inside) << c.address << " in " << c.cidr;
    EXPECT_TRUE(ValidNetwork(c.cidr)) << c.cidr;
  }
}

TEST(InNetwork, IsFalseForAnythingMalformed) {
  for (const char* cidr :
       {"", "/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2/24", "::/129",
        "fe80::1%lo/64", "example.org", "192.0.2.0/24 ", "[::1]", "1.2.3.4/1/2"}) {
    EXPECT_FALSE(ValidNetwork(cidr)) << cidr;
    EXPECT_FALSE(InNetwork("192.0.2.1", cidr)) << cidr;
  }
  for (const char* address : {"", "example.org", "192.0.2", "192.0.2.1 ", "fe80::1%lo"}) {
    EXPECT_FALSE(InNetwork(address, "0.0.0.0/0")) << address;
    EXPECT_FALSE(InNetwork(address, "::/0")) << address;
  }
  EXPECT_FALSE(InNetwork(std::string_view("192.0.2.1\0x", 11), "0.0.0.0/0"));
}

TEST(PublicAddress, ExcludesLoopbackAndPrivateNetworks) {  // [RFC6890 2.2]
  for (const char* text : {"127.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
                           "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
                           "::", "::1", "fe80::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1"})
    EXPECT_FALSE(IsPublicAddress(*ParseAddress(text))) << text;
  for (const char* text : {"192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::2"})
    EXPECT_TRUE(IsPublicAddress(*ParseAddress(text))) << text;
}

}  // namespace
}  // namespace posthorn::net
