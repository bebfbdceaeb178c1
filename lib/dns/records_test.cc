#include "lib/dns/records.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::dns {
namespace {

using std::string_literals::operator""s;

TEST(DnsName, IsReadFromTheWireInLowerCase) {
  size_t used = 0;
  EXPECT_EQ(NameFromData("\3WWW\7example\0rest"s, &used), "www.example");
  EXPECT_EQ(used, 13u);
  EXPECT_EQ(NameFromData("\0"s), "");
}

TEST(DnsName, OutOfBoundsOrCompressedIsRefused) {
  EXPECT_EQ(NameFromData("\5www"s), std::nullopt);
  EXPECT_EQ(NameFromData("\3www"s), std::nullopt);
  EXPECT_EQ(NameFromData("\xc0\x0c"s), std::nullopt);
  EXPECT_EQ(NameFromData(""), std::nullopt);
}

TEST(DnsName, StrangeOctetsAreEscaped) { EXPECT_EQ(NameFromData("\3a.b\0"s), "a\\046b"); }

TEST(TxtRecord, StringsAreJoinedWithoutABlank) {  // [RFC7208 3.3]
  EXPECT_EQ(TextFromData("\6v=spf1\5 -all"s), "v=spf1 -all");
  EXPECT_EQ(TextFromData("\0"s), "");
  EXPECT_EQ(TextFromData("\7short"s), std::nullopt);
}

TEST(MxRecord, HasPreferenceAndName) {
  EXPECT_EQ(MxFromData("\1\2\2mx\0"s), (MxHost{258, "mx"}));
  EXPECT_EQ(MxFromData("\0\0\0"s), (MxHost{0, ""}));
  EXPECT_EQ(MxFromData("\0\1"s), std::nullopt);
}

TEST(QuestionName, IsAbsoluteAndEscaped) {
  EXPECT_EQ(QuestionName("Example.test").value(), "example.test.");
  EXPECT_EQ(QuestionName("example.test.").value(), "example.test.");
  EXPECT_EQ(QuestionName("a\\b c.test").value(), "a\\092b\\032c.test.");
  EXPECT_EQ(QuestionName("_dmarc.x").value(), "_dmarc.x.");
}

TEST(QuestionName, RefusesEmptyAndLongLabels) {  // [RFC1035 2.3.4]
  EXPECT_FALSE(QuestionName("a..b").ok());
  EXPECT_FALSE(QuestionName(".a").ok());
  EXPECT_TRUE(QuestionName(std::string(63, 'a')).ok());
  EXPECT_FALSE(QuestionName(std::string(64, 'a')).ok());
  std::string name;
  for (int i = 0; i < 127; ++i) name += "a.";
  EXPECT_TRUE(QuestionName(name).ok());
  EXPECT_FALSE(QuestionName(base::StrCat(name, "a")).ok());
}

TEST(ReverseName, TurnsOctetsAndNibbles) {
  EXPECT_EQ(ReverseName("192.0.2.1"), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(ReverseName("::ffff:192.0.2.1"), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(ReverseName("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  EXPECT_EQ(ReverseName("example.test"), std::nullopt);
}

}  // namespace
}  // namespace posthorn::dns
