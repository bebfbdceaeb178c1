#include "spam-service/spf/record.h"

#include <gtest/gtest.h>

#include "spam-service/spf/macro.h"

namespace posthorn::spam_service {
namespace {

TEST(SpfRecord, IsRecognisedByItsVersion) {  // [RFC7208 4.5]
  EXPECT_TRUE(IsSpfRecord("v=spf1"));
  EXPECT_TRUE(IsSpfRecord("V=SPF1 -all"));
  EXPECT_FALSE(IsSpfRecord("v=spf10 -all"));
  EXPECT_FALSE(IsSpfRecord(" v=spf1"));
}

TEST(SpfRecord, ReadsAllMechanisms) {  // [RFC7208 5]
  const auto record = ParseSpfRecord(
      "v=spf1  a a/24 a:x.example//64 mx:%{d}/16//96 ?ptr ~ip4:192.0.2.0/28 ip6:2001:db8::/32 "
      "exists:%{ir}.list.example +include:other.example -all ");
  ASSERT_TRUE(record.ok()) << record.status();
  const auto& m = record->mechanisms;
  ASSERT_EQ(m.size(), 10u);
  EXPECT_EQ(m[1].prefix4, 24);
  EXPECT_EQ(m[2].domain, "x.example");
  EXPECT_EQ(m[2].prefix6, 64);
  EXPECT_EQ(m[2].prefix4, 32);
  EXPECT_EQ(m[3].domain, "%{d}");
  EXPECT_EQ(m[3].prefix4, 16);
  EXPECT_EQ(m[3].prefix6, 96);
  EXPECT_EQ(m[4].when_matched, SpfResult::kNeutral);
  EXPECT_EQ(m[5].when_matched, SpfResult::kSoftFail);
  EXPECT_EQ(m[5].prefix4, 28);
  EXPECT_EQ(m[6].prefix6, 32);
  EXPECT_EQ(m[8].kind, SpfMechanism::Kind::kInclude);
  EXPECT_EQ(m[9].when_matched, SpfResult::kFail);
}

TEST(SpfRecord, ReadsModifiersAnywhere) {  // [RFC7208 6]
  const auto record = ParseSpfRecord("v=spf1 exp=why.%{d} x-own=%{l}%% Redirect=other.example");
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->redirect, "other.example");
  EXPECT_EQ(record->explanation, "why.%{d}");
}

class BadRecord : public ::testing::TestWithParam<std::string_view> {};
TEST_P(BadRecord, IsAnError) { EXPECT_FALSE(ParseSpfRecord(GetParam()).ok()); }
INSTANTIATE_TEST_SUITE_P(
    Spf, BadRecord,
    ::testing::Values("v=spf1 foo", "v=spf1 all:x.example", "v=spf1 all/8", "v=spf1 include",
                      "v=spf1 include:", "v=spf1 a:", "v=spf1 a/33", "v=spf1 a/024",
                      "v=spf1 a//129", "v=spf1 a/", "v=spf1 a:x.example/24x", "v=spf1 ip4",
                      "v=spf1 ip4:1.2.3", "v=spf1 ip4:1.2.3.4/33", "v=spf1 ip4:::1",
                      "v=spf1 ip6:1.2.3.4", "v=spf1 ip6:::1/129", "v=spf1 exists", "v=spf1 --all",
                      "v=spf1 -", "v=spf1\t-all", "v=spf1 redirect=a.example redirect=b.example",
                      "v=spf1 exp=a.example exp=a.example",
                      "v=spf1 redirect=", "v=spf1 a:%{x}.example", "v=spf1 a:%{d0}.example",
                      "v=spf1 a:%{d", "v=spf1 a:%d.example", "v=spf1 exists:%{c}.example",
                      "v=spf1 a:localhost", "v=spf1 a:x.123", "v=spf1 own=%",
                      "v=spf1 -redirect=x.example", "v=spf1 a:x.example.-"));

MacroValues Values() {  // [RFC7208 7.4]
  MacroValues values;
  values.sender = "strong-bad@email.example.com";
  values.local = "strong-bad";
  values.origin = values.domain = "email.example.com";
  values.client = *net::ParseAddress("192.0.2.3");
  values.helo = "mx.example.org";
  return values;
}

struct Expansion {
  std::string_view text;
  std::string_view result;
};
class MacroExpansion : public ::testing::TestWithParam<Expansion> {};
TEST_P(MacroExpansion, IsThatOfTheRfc) {
  EXPECT_EQ(ExpandDomain(GetParam().text, Values()), GetParam().result);
}
INSTANTIATE_TEST_SUITE_P(
    Spf, MacroExpansion,
    ::testing::Values(Expansion{"%{s}", "strong-bad@email.example.com"},
                      Expansion{"%{o}", "email.example.com"},
                      Expansion{"%{d4}", "email.example.com"}, Expansion{"%{d2}", "example.com"},
                      Expansion{"%{d1}", "com"}, Expansion{"%{dr}", "com.example.email"},
                      Expansion{"%{d2r}", "example.email"}, Expansion{"%{l}", "strong-bad"},
                      Expansion{"%{l-}", "strong.bad"}, Expansion{"%{lr}", "strong-bad"},
                      Expansion{"%{lr-}", "bad.strong"}, Expansion{"%{l1r-}", "strong"},
                      Expansion{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
                      Expansion{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
                                "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
                      Expansion{"%{h}.x.", "mx.example.org.x"}, Expansion{"%{p}", "unknown"},
                      Expansion{"a%%b%_c%-d", "a%b c%20d"},
                      Expansion{"%{S}", "strong-bad%40email.example.com"}));

TEST(Macro, WritesIpv6AsNibbles) {
  MacroValues values = Values();
  values.client = *net::ParseAddress("2001:db8::cb01");
  EXPECT_EQ(ExpandDomain("%{ir}.%{v}._spf.%{d2}", values),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
}

TEST(Macro, LongNamesLoseTheirFirstLabels) {  // [RFC7208 7.3]
  MacroValues values = Values();
  for (int i = 0; i < 40; ++i) values.local += ".label" + std::to_string(10 + i);
  const std::string name = ExpandDomain("%{l}.example.com", values);
  EXPECT_LE(name.size(), 253u);
  EXPECT_TRUE(name.starts_with("label"));
  EXPECT_TRUE(name.ends_with(".label49.example.com"));
}

TEST(Macro, TextMayTellClientReceiverAndTime) {
  MacroValues values = Values();
  values.receiver = "mx.receiver.example";
  values.now = 1234;
  EXPECT_EQ(ExpandText("%{c} at %{r}, %{t}", values), "192.0.2.3 at mx.receiver.example, 1234");
  EXPECT_EQ(ExpandText("bad %{q}", values), std::nullopt);
}

}  // namespace
}  // namespace posthorn::spam_service
