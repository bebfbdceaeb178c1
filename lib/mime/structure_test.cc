#include "lib/mime/structure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/mime/section.h"

namespace posthorn::mime {
namespace {

// "type/subtype(child child)" and for leaves "=body".
std::string Show(std::string_view message, const Structure& s, uint32_t index) {
  const Part& part = s.parts[index];
  std::string out = base::StrCat(part.media_type, '/', part.media_subtype);
  if (part.kind == PartKind::kLeaf)
    return base::StrCat(out, '=', message.substr(part.body_start, part.body_size));
  out += '(';
  for (uint32_t c = part.first_child; c != kNoPart; c = s.parts[c].next_sibling) {
    if (c != part.first_child) out += ' ';
    out += Show(message, s, c);
  }
  return out + ")";
}
std::string Show(std::string_view message) { return Show(message, ParseStructure(message), 0); }

constexpr std::string_view kNested =
    "From: a@b\r\nContent-Type: multipart/mixed; boundary=\"out er\"\r\n\r\npreamble\r\n"
    "--out er\r\n\r\none\r\n"
    "--out er  \r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
    "--in\r\nContent-Type: text/html\r\n\r\n<b>\r\n\r\n--in--\r\ninner epilogue\r\n"
    "--out er\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nhello\r\n"
    "--out er--\r\nepilogue\r\n";

TEST(Structure, ReadsNestedParts) {
  EXPECT_EQ(Show(kNested),
            "multipart/mixed(text/plain=one multipart/alternative(text/html=<b>\r\n) "
            "message/rfc822(text/plain=hello))");
}

TEST(Structure, CountsBytesAndLines) {
  const std::string_view text = "A: b\r\n\r\none\r\ntwo\r\n";
  const Structure s = ParseStructure(text);
  ASSERT_EQ(s.parts.size(), 1u);
  EXPECT_EQ(s.parts[0].header_size, 8u);
  EXPECT_EQ(s.parts[0].body_size, 10u);
  EXPECT_EQ(s.parts[0].body_lines, 2u);
  const Structure n = ParseStructure(kNested);
  EXPECT_EQ(n.parts[1].body_lines, 0u);
  EXPECT_EQ(n.parts[3].body_lines, 1u);
  EXPECT_EQ(n.parts[0].body_start + n.parts[0].body_size, kNested.size());
}

TEST(Structure, ToleratesWhatBrokenSendersWrite) {
  EXPECT_EQ(Show(""), "text/plain=");
  EXPECT_EQ(Show("no header at all"), "text/plain=");
  EXPECT_EQ(Show("A: b\n\nbare\n"), "text/plain=bare\n");
  EXPECT_EQ(Show("junk line\r\nA: b\r\n\r\nx"), "text/plain=x");
  // Closing boundary missing; header without blank line; empty part.
  EXPECT_EQ(Show("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx"),
            "multipart/mixed(text/plain=x)");
  EXPECT_EQ(
      Show("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nA: b\r\n--b\r\n--b--\r\n"),
      "multipart/mixed(text/plain= text/plain=)");
  EXPECT_EQ(Show("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"),
            "multipart/mixed(text/plain=x)");
  // The outer boundary ends what the inner one left open [RFC2046 5.1.2].
  EXPECT_EQ(Show("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/"
                 "mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--o\r\n\r\ny\r\n--o--\r\n"),
            "multipart/mixed(multipart/mixed(text/plain=x) text/plain=y)");
  EXPECT_EQ(Show("Content-Type: multipart/mixed\r\n\r\n--\r\nx"), "multipart/mixed()");
  EXPECT_EQ(Show("Content-Type: nonsense\r\n\r\nx"), "text/plain=x");
  // A longer line that only starts like the boundary is none.
  EXPECT_EQ(Show("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--bc\r\n--b--"),
            "multipart/mixed(text/plain=--bc)");
}

// [RFC2046 5.1.5]
TEST(Structure, PartsOfADigestAreMessages) {
  EXPECT_EQ(Show("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny"
                 "\r\n--b--\r\n"),
            "multipart/digest(message/rfc822(text/plain=y))");
}

TEST(Structure, LeavesEncodedMessagesWhole) {
  EXPECT_EQ(Show("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ=="),
            "message/rfc822=QQ==");
}

TEST(Structure, IsBoundedInDepthAndParts) {
  std::string deep;
  for (int i = 0; i < 10'000; ++i)
    base::StrAppend(deep, "Content-Type: multipart/mixed; boundary=b", i, "\r\n\r\n--b", i, "\r\n");
  EXPECT_LE(ParseStructure(deep).parts.size(), kMaxDepth + 1);
  std::string inside;
  for (int i = 0; i < 10'000; ++i) inside += "Content-Type: message/rfc822\r\n\r\n";
  EXPECT_LE(ParseStructure(inside).parts.size(), kMaxDepth + 1);
  std::string many = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 200'000; ++i) many += "--b\r\n";
  EXPECT_EQ(ParseStructure(many).parts.size(), kMaxParts);
}

std::string Bytes(std::string_view message, std::string_view section) {
  const auto parsed = ParseSection(section);
  if (!parsed) return "bad section";
  const auto range = FindSection(Offsets(ParseStructure(message)), *parsed);
  if (!range) return "no such part";
  return std::string(message.substr(range->start, range->size));
}

// [RFC9051 6.4.5.1]
TEST(Section, NamesBytes) {
  EXPECT_EQ(Bytes(kNested, ""), kNested);
  EXPECT_EQ(Bytes(kNested, "1"), "one");
  EXPECT_EQ(Bytes(kNested, "1.MIME"), "\r\n");
  EXPECT_EQ(Bytes(kNested, "2.1"), "<b>\r\n");
  EXPECT_EQ(Bytes(kNested, "2.1.mime"), "Content-Type: text/html\r\n\r\n");
  EXPECT_EQ(Bytes(kNested, "3"), "Subject: inside\r\n\r\nhello");
  EXPECT_EQ(Bytes(kNested, "3.HEADER"), "Subject: inside\r\n\r\n");
  EXPECT_EQ(Bytes(kNested, "3.HEADER.FIELDS.NOT"), "Subject: inside\r\n\r\n");
  EXPECT_EQ(Bytes(kNested, "3.TEXT"), "hello");
  EXPECT_EQ(Bytes(kNested, "3.1"), "hello");
  EXPECT_EQ(Bytes("A: b\r\n\r\nx", "1"), "x");
  EXPECT_EQ(Bytes("A: b\r\n\r\nx", "TEXT"), "x");
  EXPECT_EQ(Bytes("A: b\r\n\r\nx", "HEADER"), "A: b\r\n\r\n");
  EXPECT_EQ(Bytes("A: b\r\n\r\nx", "1.MIME"), "A: b\r\n\r\n");
  for (const char* none : {"4", "1.1", "1.HEADER", "2.1.1", "3.2", "3.1.1"})
    EXPECT_EQ(Bytes(kNested, none), "no such part") << none;
  for (const char* bad : {"0", "1..2", "1.", "MIME", "01", "x", "99999999999", ".1", "1.FOO"})
    EXPECT_EQ(Bytes(kNested, bad), "bad section") << bad;
}

TEST(Section, CountsAPrefixToTheHeader) {
  const auto parts = Offsets(ParseStructure("A: b\r\n\r\nxyz"));
  EXPECT_EQ(FindSection(parts, *ParseSection(""), 10), (Range{0, 21}));
  EXPECT_EQ(FindSection(parts, *ParseSection("HEADER"), 10), (Range{0, 18}));
  EXPECT_EQ(FindSection(parts, *ParseSection("TEXT"), 10), (Range{18, 3}));
  EXPECT_EQ(FindSection(parts, *ParseSection("1"), 10), (Range{18, 3}));
}

}  // namespace
}  // namespace posthorn::mime
