#include "lib/mail/dot_codec.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/mail/received.h"

namespace posthorn::mail {
namespace {

struct Decoded {
  std::string content;
  std::string left;  // what followed the data in the last chunk and after
  std::string flags;
  bool done = false;
};

Decoded Decode(std::string_view input, size_t chunk, BareNewlines newlines = BareNewlines::kKeep) {
  DotDecoder decoder(newlines);
  Decoded out;
  for (size_t at = 0; at < input.size(); at += chunk) {
    const std::string piece(input.substr(at, chunk));
    std::vector<std::string_view> views;
    const size_t taken = decoder.Decode(piece, views);
    for (const std::string_view view : views) out.content += view;
    out.left += piece.substr(taken);
  }
  EXPECT_EQ(decoder.size(), out.content.size());
  out.done = decoder.done();
  if (decoder.has_bare_cr()) out.flags += "r";
  if (decoder.has_bare_lf()) out.flags += "n";
  if (decoder.has_nul()) out.flags += "0";
  if (decoder.has_8bit()) out.flags += "8";
  return out;
}

constexpr size_t kChunks[] = {1, 7, 1 << 20};

// [RFC5321 4.5.2]
TEST(DotDecoder, UnstuffsAndEnds) {
  for (const size_t chunk : kChunks) {
    EXPECT_EQ(Decode(".\r\nQUIT", chunk).content, "");
    EXPECT_EQ(Decode(".\r\nQUIT", chunk).left, "QUIT");
    EXPECT_EQ(Decode("a\r\n..b\r\n.c\r\n.\r\nQUIT\r\n", chunk).content, "a\r\n.b\r\nc\r\n");
    EXPECT_EQ(Decode("a\r\n..b\r\n.\r\nQUIT\r\n", chunk).left, "QUIT\r\n");
    EXPECT_EQ(Decode("...\r\n.\r\n", chunk).content, "..\r\n");
    EXPECT_EQ(Decode("\r\n.\r\n", chunk).content, "\r\n");
    EXPECT_EQ(Decode("a\r\n.\r\n", chunk).flags, "");
    EXPECT_FALSE(Decode("a\r\n.\r", chunk).done);
    EXPECT_EQ(Decode(std::string_view("\xFF\0\r\n.\r\n", 7), chunk).flags, "08");
  }
}

// What other servers have taken for the end of data. None of it may end it here, each must be told.
TEST(DotDecoder, IsNotFooledBySmuggling) {
  const std::string_view shapes[] = {
      "\n.\n",   "\n.\r\n",     "\r.\r",     "\r\n.\n",       "\r\n.\r",   "\r.\n",       "\n.\r",
      "\r.\r\n", "\r\n.\r\r\n", "\n\n.\r\n", "\r\r\n.\r\r\n", "\r\n\n.\n", "\r\n.\r.\r\n"};
  ASSERT_EQ(std::size(shapes), 13u);
  for (const std::string_view shape : shapes) {
    for (const size_t chunk : kChunks) {
      const std::string input = base::StrCat("a", shape, "MAIL FROM:<evil@x.test>\r\n.\r\n");
      const Decoded read = Decode(input, chunk);
      EXPECT_TRUE(read.done) << base::Hex(shape);
      EXPECT_EQ(read.left, "") << base::Hex(shape);
      EXPECT_NE(read.flags, "") << base::Hex(shape);
      EXPECT_NE(read.content.find("MAIL FROM"), std::string::npos) << base::Hex(shape);
    }
  }
}

TEST(DotDecoder, MakesCrlfWhenAsked) {
  for (const size_t chunk : kChunks) {
    EXPECT_EQ(Decode("a\nb\rc\r\n\n.\nd\r\n.\r\n", chunk, BareNewlines::kMakeCrlf).content,
              "a\r\nb\r\nc\r\n\r\n.\r\nd\r\n");
    EXPECT_EQ(Decode("a\nb\r\n.\r\n", chunk, BareNewlines::kKeep).content, "a\nb\r\n");
  }
}

TEST(DotDecoder, TellsTheLongestLine) {
  DotDecoder decoder;
  std::vector<std::string_view> views;
  decoder.Decode("abc\r\nabcde\r\nx\r\n.\r\n", views);
  EXPECT_EQ(decoder.longest_line(), 5u);
  EXPECT_EQ(views.size(), 1u);  // one view: nothing was copied
}

TEST(DotEncoder, WritesWhatTheDecoderReads) {
  for (const std::string_view text : {"", "a", ".", "..\r\n.", "a\r\n.b\r\n", ".\r\n.\r\n", "a\r\n",
                                      "x\n.y\r\n", "\r", "\r\n\r\n.", "a\r"}) {
    for (const size_t chunk : kChunks) {
      DotEncoder encoder;
      std::string wire;
      for (size_t at = 0; at < text.size(); at += chunk)
        encoder.Encode(text.substr(at, chunk), wire);
      encoder.Finish(wire);
      const Decoded read = Decode(wire, chunk);
      EXPECT_TRUE(read.done);
      EXPECT_EQ(read.left, "");
      const bool whole = text.empty() || text.ends_with("\r\n");
      EXPECT_EQ(read.content, base::StrCat(text, whole ? "" : "\r\n"));
    }
  }
}

// [RFC5321 4.4, RFC3848]
TEST(Received, SaysWhereAMessageCameFrom) {
  EXPECT_EQ(WithProtocol(Greeting::kHelo, Encrypted::kNo, Authenticated::kNo, Utf8::kRefuse),
            "SMTP");
  EXPECT_EQ(WithProtocol(Greeting::kEhlo, Encrypted::kYes, Authenticated::kYes, Utf8::kRefuse),
            "ESMTPSA");
  EXPECT_EQ(WithProtocol(Greeting::kEhlo, Encrypted::kYes, Authenticated::kNo, Utf8::kAllow),
            "UTF8SMTPS");
  const std::string field = BuildReceived({.helo = "client.example",
                                           .peer = "mail.client.example",
                                           .ip = "192.0.2.1",
                                           .by = "mx.example.org",
                                           .with = "ESMTPS",
                                           .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384",
                                           .id = "0123456789abcdef",
                                           .for_path = "joe@example.org",
                                           .date = {880127706, -360}});
  EXPECT_EQ(field,
            "Received: from client.example (mail.client.example [192.0.2.1])\r\n"
            " by mx.example.org with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
            " id 0123456789abcdef for <joe@example.org>; "
            "Fri, 21 Nov 1997 09:55:06 -0600\r\n");
}

TEST(Received, StaysOneFieldWhateverTheClientSays) {
  const std::string field = BuildReceived({.helo = "a\r\nX-Evil: (1",
                                           .peer = "",
                                           .ip = "2001:db8::1",
                                           .by = "mx",
                                           .with = "SMTP",
                                           .id = "1",
                                           .date = {0, 0}});
  EXPECT_EQ(field,
            "Received: from a??X-Evil:??1 ([IPv6:2001:db8::1]) by mx with SMTP id 1;\r\n"
            " Thu, 1 Jan 1970 00:00:00 +0000\r\n");
  EXPECT_EQ(BuildReturnPath({}), "Return-Path: <>\r\n");
}

}  // namespace
}  // namespace posthorn::mail
