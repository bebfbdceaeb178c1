#include "lib/mime/header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace posthorn::mime {
namespace {

TEST(Header, SplitsFieldsAndKeepsTheirPlaces) {
  const std::string_view text = "Subject: a\r\n b\r\nX-Two : c\r\nsubject:d\r\n\r\nBody: no\r\n";
  const Header header(text);
  ASSERT_EQ(header.fields().size(), 3u);
  EXPECT_EQ(header.Value("SUBJECT"), "a b");
  EXPECT_EQ(header.Value("x-two"), "c");
  EXPECT_EQ(header.FindAll("Subject").size(), 2u);
  EXPECT_EQ(header.Find("Body"), nullptr);
  EXPECT_EQ(text.substr(header.size()), "Body: no\r\n");
  const Field& first = header.fields()[0];
  EXPECT_EQ(text.substr(first.offset, first.size), "Subject: a\r\n b\r\n");
}

TEST(Header, ToleratesGarbage) {
  EXPECT_EQ(Header("").size(), 0u);
  EXPECT_EQ(Header("\r\nbody").size(), 2u);
  EXPECT_EQ(Header("a: b").Value("a"), "b");
  EXPECT_EQ(Header("junk\r\na: b\r\n\r\n").Value("a"), "b");
  EXPECT_EQ(Header(": x\na: b\n\n").Value("a"), "b");
  EXPECT_EQ(Header(" fold first\na: b").Value("a"), "b");
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "a:b\n";
  EXPECT_EQ(Header(many).fields().size(), kMaxHeaderFields);
  EXPECT_EQ(Header(many).size(), many.size());
}

}  // namespace
}  // namespace posthorn::mime
