#include "lib/mail/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::mail {
namespace {

using testing::ElementsAre;

std::string Reverse(std::string_view text, Utf8 utf8 = Utf8::kRefuse) {
  const auto path = ConsumeReversePath(text, utf8);
  if (!path.ok()) return "refused";
  return base::StrCat('<', path->Address(), '>', text);
}

// [RFC5321 4.1.2]
TEST(Path, TakesWhatTheGrammarAllows) {
  EXPECT_EQ(Reverse("<>"), "<>");
  EXPECT_EQ(Reverse("<a.b@example.org> SIZE=1"), "<a.b@example.org> SIZE=1");
  EXPECT_EQ(Reverse("<\"a b\"@example.org>"), "<\"a b\"@example.org>");
  EXPECT_EQ(Reverse("<\"plain\"@example.org>"), "<plain@example.org>");
  EXPECT_EQ(Reverse("<\"x>\\\"y\"@example.org>"), "<\"x>\\\"y\"@example.org>");
  EXPECT_EQ(Reverse("<a@[192.0.2.1]>"), "<a@[192.0.2.1]>");
  EXPECT_EQ(Reverse("<a@[IPv6:2001:db8::1]>"), "<a@[IPv6:2001:db8::1]>");
  EXPECT_EQ(Reverse("<@one.example,@two.example:joe@three.example>"), "<joe@three.example>");
}

TEST(Path, RefusesWhatIsNoPath) {
  for (const std::string_view bad : {"",
                                     "a@b",
                                     "<a@b",
                                     "<a>",
                                     "<a@>",
                                     "<@b>",
                                     "<.a@b>",
                                     "<a.@b>",
                                     "<a..b@c>",
                                     "<a b@c>",
                                     "<a@-b>",
                                     "<a@b->",
                                     "<a@b..c>",
                                     "<a@b_c>",
                                     "<a@[1.2.3]>",
                                     "<a@[IPv6:zz]>",
                                     "<\"a@b>",
                                     "<a@b@c>",
                                     "< a@b>",
                                     "<a@b >",
                                     "<@a:b>",
                                     "<@a,b@c>",
                                     "<a\x01@b>",
                                     "<postmaster>",
                                     "<\xC3\xA4@b>",
                                     "<a@\xC3\xA4>"})
    EXPECT_EQ(Reverse(bad), "refused") << bad;
  EXPECT_EQ(Reverse(base::StrCat('<', std::string(256, 'a'), "@b>")), "refused");
  EXPECT_EQ(Reverse(base::StrCat("<a@", std::string(64, 'b'), ">")), "refused");
}

// [RFC5321 4.5.1]: the only recipient without a domain.
TEST(Path, ForwardPathMayBePostmasterAlone) {
  std::string_view text = "<PostMaster>";
  const auto path = ConsumeForwardPath(text, Utf8::kRefuse);
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->Address(), "PostMaster");
  text = "<>";
  EXPECT_FALSE(ConsumeForwardPath(text, Utf8::kRefuse).ok());
}

// [RFC6531 3.3]
TEST(Path, TakesUtf8OnlyWhenAllowed) {
  EXPECT_EQ(Reverse("<j\xC3\xB6rg@b\xC3\xBC"
                    "cher.example>",
                    Utf8::kAllow),
            "<j\xC3\xB6rg@b\xC3\xBC"
            "cher.example>");
  EXPECT_EQ(Reverse("<j\xC3@b.example>", Utf8::kAllow), "refused");
}

TEST(NormalForm, FoldsCaseAndComposes) {
  EXPECT_EQ(NormalLocal("Joe.Doe"), "joe.doe");
  EXPECT_EQ(NormalLocal("J\xC3\x96RG"), "j\xC3\xB6rg");
  EXPECT_EQ(NormalLocal("jo\xCC\x88rg"), "j\xC3\xB6rg");
  EXPECT_EQ(NormalDomain("B\xC3\x9C"
                         "CHER.Example."),
            "xn--bcher-kva.example");
  EXPECT_EQ(NormalDomain("[IPv6:2001:DB8::1]"), "[ipv6:2001:db8::1]");
  EXPECT_EQ(NormalDomain(""), std::nullopt);
  EXPECT_EQ(NormalDomain("a.."), std::nullopt);
  EXPECT_EQ(NormalDomain("\xFF.example"), std::nullopt);
  EXPECT_EQ(NormalDomain("\xCD\x8F"), std::nullopt);  // a letter that is ignored
  EXPECT_EQ(NormalDomain("b\xC3\xBC.example\xE3\x80\x82"), "xn--b-eha.example");
  EXPECT_EQ(NormalAddress("\"Joe\"@Example.ORG"), "joe@example.org");
  EXPECT_EQ(NormalAddress("joe"), std::nullopt);
}

// Compact: name|route|local|domain, "{name" for a group's start and "}" for its end.
std::vector<std::string> List(std::string_view text) {
  std::vector<std::string> out;
  for (const Address& a : ParseAddressList(text)) {
    if (a.kind == AddressKind::kGroupStart) {
      out.push_back("{" + a.name);
    } else if (a.kind == AddressKind::kGroupEnd) {
      out.push_back("}");
    } else {
      out.push_back(base::StrCat(a.name, '|', a.route, '|', a.local, '|', a.domain));
    }
  }
  return out;
}

// Shapes of [RFC5322 A.1.2, A.1.3, A.5, A.6.1].
TEST(AddressList, ReadsTheStandardsShapes) {
  EXPECT_THAT(List("jdoe@one.test"), ElementsAre("||jdoe|one.test"));
  EXPECT_THAT(List("\"Joe Q. Public\" <john.q@example.com>, Mary <m@x.test>"),
              ElementsAre("Joe Q. Public||john.q|example.com", "Mary||m|x.test"));
  EXPECT_THAT(List("A Group:Ed <e@a.test>,joe@b.test;"),
              ElementsAre("{A Group", "Ed||e|a.test", "||joe|b.test", "}"));
  EXPECT_THAT(List("Undisclosed recipients:;"), ElementsAre("{Undisclosed recipients", "}"));
  EXPECT_THAT(List("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
              ElementsAre("Pete||pete|silly.test"));
  EXPECT_THAT(List("Mary <@node.test,@n2.test:mary@example.net>, , j . doe @ a . test"),
              ElementsAre("Mary|@node.test,@n2.test|mary|example.net", "||j.doe|a.test"));
  EXPECT_THAT(List("joe@a.test (Joe D)"), ElementsAre("Joe D||joe|a.test"));
  EXPECT_THAT(List("\"Giant; \\\"Big\\\" Box\" <s@e.net>\r\n ,x@y"),
              ElementsAre("Giant; \"Big\" Box||s|e.net", "||x|y"));
  EXPECT_THAT(List("=?utf-8?q?J=C3=B6rg?= <j@x>"), ElementsAre("=?utf-8?q?J=C3=B6rg?=||j|x"));
  EXPECT_THAT(List("a@[192.0.2.1], <b@[IPv6:::1]>"),
              ElementsAre("||a|[192.0.2.1]", "||b|[IPv6:::1]"));
}

TEST(AddressList, KeepsSomethingOfGarbage) {
  EXPECT_THAT(List("just words"), ElementsAre("||just words|"));
  EXPECT_THAT(List("a@b <c@d>"), ElementsAre("a@b||c|d"));
  EXPECT_THAT(List("a@b@c"), ElementsAre("||a@b|c"));
  EXPECT_THAT(List("<>"), ElementsAre("|||"));
  EXPECT_THAT(List("(never closed"), ElementsAre());
  EXPECT_THAT(List("\"never closed"), ElementsAre("||never closed|"));
  EXPECT_THAT(List("a <b@c"), ElementsAre("a||b|c"));
  EXPECT_THAT(List("g: a@b"), ElementsAre("{g", "||a|b", "}"));
  EXPECT_THAT(List(";;,,"), ElementsAre());
}

TEST(AddressList, IsBoundedAndLinear) {
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "a@b,";
  EXPECT_EQ(ParseAddressList(many).size(), kMaxAddresses);
  EXPECT_EQ(ParseAddressList(std::string(4'000'000, '@')).size(), 1u);
  EXPECT_EQ(ParseAddressList(std::string(4'000'000, '(')).size(), 0u);
  EXPECT_EQ(ParseAddressList(std::string(4'000'000, '<')).size(), 1u);
}

}  // namespace
}  // namespace posthorn::mail
