#include <gtest/gtest.h>

#include "lib/mime/charset.h"
#include "lib/mime/decode.h"
#include "lib/mime/encoded_word.h"
#include "lib/mime/parameters.h"

namespace posthorn::mime {
namespace {

// Shapes of [RFC2047 8].
TEST(EncodedWord, DecodesTheStandardsShapes) {
  EXPECT_EQ(DecodeWords("=?US-ASCII?Q?Keith_Moore?= <m@cs>"), "Keith Moore <m@cs>");
  EXPECT_EQ(DecodeWords("=?ISO-8859-1?Q?Keld_J=F8rn?="), "Keld J\xC3\xB8rn");
  EXPECT_EQ(DecodeWords("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n "
                        "=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?="),
            "If you can read this you understand the example.");
  EXPECT_EQ(DecodeWords("(=?ISO-8859-1?Q?a?= b)"), "(a b)");
  EXPECT_EQ(DecodeWords("=?ISO-8859-1?Q?a_?= =?ISO-8859-2?Q?_b?="), "a  b");
  EXPECT_EQ(DecodeWords("=?utf-8*en?q?x?="), "x");
  EXPECT_EQ(DecodeWords("=?utf-8?b?w6Q=?= text =?utf-8?q?=C3=A4?="), "\xC3\xA4 text \xC3\xA4");
}

TEST(EncodedWord, JoinsALetterCutInTwo) {
  EXPECT_EQ(DecodeWords("=?utf-8?q?=C3?= =?UTF-8?q?=A4?="), "\xC3\xA4");
}

TEST(EncodedWord, LeavesGarbageAlone) {
  for (const char* text :
       {"=?", "=?x", "=?x?", "=?x?q", "=?x?q?", "=?x?z?a?=", "=??q?a?=", "=?utf-8?q?a", "a =?= b"})
    EXPECT_EQ(DecodeWords(text), text);
  EXPECT_EQ(DecodeWords("=?utf-8?q?=FF?="), "\xEF\xBF\xBD");
  EXPECT_EQ(DecodeWords("raw \xFF"), "raw \xEF\xBF\xBD");
  EXPECT_EQ(DecodeWords("=?no-such-charset?q?abc?="), "abc");
}

TEST(EncodedWord, ReadsWhatItWrites) {
  EXPECT_EQ(EncodeWords("plain text"), "plain text");
  std::string text;
  for (int i = 0; i < 50; ++i) {
    text += "\xC3\xA4\xE2\x82\xAC x";
    const std::string encoded = EncodeWords(text);
    EXPECT_EQ(DecodeWords(encoded), text);
    size_t start = 0;
    for (size_t end = 0; end != std::string::npos; start = end + 2) {
      end = encoded.find("\r\n", start);
      EXPECT_LE((end == std::string::npos ? encoded.size() : end) - start, 76u);
    }
  }
}

// Shapes of [RFC2231 3, 4, 4.1].
TEST(Parameters, JoinsContinuationsAndDecodes) {
  const ContentType type = ParseContentType(
      " application/x-stuff;\r\n title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
      " title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n title*2=\"isn't it!\"; URL*0=\"ftp://\";URL*1=x.y");
  EXPECT_TRUE(type.Is("APPLICATION", "X-Stuff"));
  ASSERT_NE(type.Find("title"), nullptr);
  EXPECT_EQ(type.Find("title")->Utf8(), "This is even more ***fun*** isn't it!");
  EXPECT_EQ(type.Find("title")->language, "en");
  EXPECT_EQ(type.Find("url")->value, "ftp://x.y");
}

TEST(Parameters, ToleratesBrokenFields) {
  EXPECT_EQ(ParseContentType("text/plain charset=utf-8").Find("charset")->value, "utf-8");
  EXPECT_EQ(ParseContentType("text/plain;;; =x; charset = \"a\\\"b\" (c)").Find("charset")->value,
            "a\"b");
  EXPECT_EQ(ParseContentType("text/plain; name=my file.txt").Find("name")->value, "my file.txt");
  EXPECT_EQ(ParseContentType("text/plain; name=\"open").Find("name")->value, "open");
  EXPECT_EQ(ParseContentType("text").type, "");
  EXPECT_EQ(ParseContentType("").type, "");
  EXPECT_EQ(ParseDisposition("attachment; filename*=UTF-8''%e2%82%ac; filename=E")
                .Find("filename")
                ->Utf8(),
            "\xE2\x82\xAC");
  EXPECT_EQ(ParseContentType(std::string(1'000'000, ';')).parameters.size(), 0u);
}

// Every table is read in pieces of 1 and 7 bytes and at once.
std::string Decoded(std::string_view text, TransferEncoding encoding, size_t chunk) {
  BodyDecoder decoder(encoding);
  std::string out;
  for (size_t at = 0; at < text.size(); at += chunk) decoder.Decode(text.substr(at, chunk), out);
  decoder.Finish(out);
  return out;
}

TEST(BodyDecoder, ReadsBase64InAnyPieces) {
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{1000}}) {
    EXPECT_EQ(Decoded("Zm9v\r\nYmFy\r\n", TransferEncoding::kBase64, chunk), "foobar");
    EXPECT_EQ(Decoded("Zg==", TransferEncoding::kBase64, chunk), "f");
    EXPECT_EQ(Decoded("Zm8", TransferEncoding::kBase64, chunk), "fo");
    EXPECT_EQ(Decoded("Z!m9*v", TransferEncoding::kBase64, chunk), "foo");
    EXPECT_EQ(Decoded("Zg==Zg==", TransferEncoding::kBase64, chunk), "ff");
  }
}

// [RFC2045 6.7]
TEST(BodyDecoder, ReadsQuotedPrintableInAnyPieces) {
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{1000}}) {
    const auto qp = [chunk](std::string_view text) {
      return Decoded(text, TransferEncoding::kQuotedPrintable, chunk);
    };
    EXPECT_EQ(qp("Now's the time =\r\nfor all =3D =e4"), "Now's the time for all = \xE4");
    EXPECT_EQ(qp("blanks  \t\r\nend"), "blanks\r\nend");
    EXPECT_EQ(qp("soft=  \r\nbreak"), "softbreak");
    EXPECT_EQ(qp("bad =ZZ =4"), "bad =ZZ =4");
    EXPECT_EQ(qp("cut ="), "cut ");
    EXPECT_EQ(qp("a=\nb"), "ab");
  }
}

TEST(Charset, ConvertsOrReplaces) {
  EXPECT_EQ(ToUtf8("iso-8859-15", "\xA4"), "\xE2\x82\xAC");
  EXPECT_EQ(ToUtf8("koi8-r", "\xC1"), "\xD0\xB0");
  EXPECT_EQ(ToUtf8("iso-2022-jp", "\x1B$B$\"\x1B(B"), "\xE3\x81\x82");
  EXPECT_EQ(ToUtf8("utf-8", "a\xC3"), "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace posthorn::mime
