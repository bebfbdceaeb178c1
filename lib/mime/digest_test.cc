#include "lib/mime/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "lib/base/strings.h"
#include "lib/mime/subject.h"

namespace posthorn::mime {
namespace {

std::string Envelope(std::string_view message) {
  const std::string digest = MakeDigest(message);
  std::string out;
  AppendEnvelope(*DigestView::Open(digest), out);
  return out;
}
std::string Body(std::string_view message, Extensible extensible = Extensible::kNo) {
  const std::string digest = MakeDigest(message);
  std::string out;
  AppendBodyStructure(*DigestView::Open(digest), extensible, out);
  return out;
}

// [RFC9051 7.5.2]
TEST(Envelope, ShowsFieldsInOrder) {
  EXPECT_EQ(
      Envelope("Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Terry Gray <gray@cac.example>\r\n"
               "Subject: IMAP \"WG\"\r\n\tmtg\r\nTo: imap@cac.example\r\n"
               "cc: g: minutes@x.test, \"John \\\"K\\\"\" <K@i.test>;\r\n"
               "Message-Id: <B27397-0100000@cac.example>\r\n\r\n"),
      "(\"Wed, 17 Jul 1996 02:23:25 -0700\" \"IMAP \\\"WG\\\"\tmtg\" "
      "((\"Terry Gray\" NIL \"gray\" \"cac.example\")) "
      "((\"Terry Gray\" NIL \"gray\" \"cac.example\")) "
      "((\"Terry Gray\" NIL \"gray\" \"cac.example\")) ((NIL NIL \"imap\" \"cac.example\")) "
      "((NIL NIL \"g\" NIL)(NIL NIL \"minutes\" \"x.test\")"
      "(\"John \\\"K\\\"\" NIL \"K\" \"i.test\")(NIL NIL NIL NIL)) NIL NIL "
      "\"<B27397-0100000@cac.example>\")");
  EXPECT_EQ(Envelope(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
  EXPECT_EQ(Envelope("Subject:\r\n\r\n"), "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
  // Encoded words stay; 8-bit text needs a literal.
  EXPECT_EQ(Envelope("Subject: =?utf-8?q?=C3=A4?=\r\n\r\n").substr(0, 24),
            "(NIL \"=?utf-8?q?=C3=A4?=");
  EXPECT_EQ(Envelope("Subject: \xC3\xA4\r\n\r\n").substr(0, 12), "(NIL {2}\r\n\xC3\xA4");
}

TEST(BodyStructure, ShowsSimpleTexts) {
  EXPECT_EQ(Body("Content-Type: text/plain; charset=us-ascii\r\n\r\na\r\nb\r\n"),
            "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 6 2)");
  EXPECT_EQ(Body("\r\nx", Extensible::kYes),
            "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 0 NIL NIL NIL NIL)");
  EXPECT_EQ(Body("Content-Type: multipart/mixed\r\n\r\n"),
            "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0) \"MIXED\")");
  EXPECT_EQ(Body("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ=="),
            "(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"BASE64\" 4)");
}

constexpr std::string_view kMixed =
    "Subject: [list] Re: Fwd: =?utf-8?q?Gr=C3=BC=C3=9Fe?= (fwd)\r\nFrom: J\xC3\xB6rg <Joe@x>\r\n"
    "Date: Thu, 1 Jan 1970 01:00:10 +0100\r\nReferences: <a@b> junk <c@ d>\r\n"
    "Message-ID: <1@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<style>x</style><p>Gr=FC=DFe &amp; =\r\n"
    "more</p>\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nhi\r\n"
    "--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-ID: <i>\r\n"
    "Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.pdf\r\n"
    "Content-Language: en, de\r\n\r\n\r\n--b--\r\n";

TEST(BodyStructure, ShowsPartsInside) {
  EXPECT_EQ(
      Body(kMixed, Extensible::kYes),
      "((\"TEXT\" \"HTML\" (\"CHARSET\" \"iso-8859-1\") NIL NIL \"QUOTED-PRINTABLE\" 46 1 NIL "
      "NIL NIL NIL)(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 17 (NIL \"in\" NIL NIL NIL "
      "NIL NIL NIL NIL NIL) (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 2 0 NIL NIL NIL NIL) 2 "
      "NIL NIL NIL NIL)(\"APPLICATION\" \"PDF\" (\"NAME\" \"a.pdf\") \"<i>\" NIL \"7BIT\" 0 "
      "NIL (\"ATTACHMENT\" (\"FILENAME*\" \"utf-8''%E2%82%AC.pdf\")) (\"en\" \"de\") NIL) "
      "\"MIXED\" (\"BOUNDARY\" \"b\") NIL NIL NIL)");
}

TEST(Digest, TellsWhatAMessageSays) {
  const std::string bytes = MakeDigest(kMixed);
  const DigestView d = *DigestView::Open(bytes);
  EXPECT_EQ(d.subject(),
            "[list] Re: Fwd: Gr\xC3\xBC\xC3\x9F"
            "e (fwd)");
  EXPECT_EQ(d.base_subject(), "GR\xC3\x9CSSE");
  EXPECT_TRUE(d.is_reply());
  EXPECT_EQ(d.from(), "J\xC3\xB6rg <Joe@x>");
  EXPECT_EQ(d.sort_from(), "joe");
  EXPECT_EQ(d.sent_at(), 10);
  EXPECT_EQ(d.sent_zone_minutes(), 60);
  EXPECT_EQ(d.message_id(), "<1@x>");
  EXPECT_EQ(d.references(), "<a@b> <c@d>");
  EXPECT_EQ(d.preview(),
            "Gr\xC3\xBC\xC3\x9F"
            "e & more");
  EXPECT_TRUE(d.has_attachments());
  EXPECT_EQ(d.message_size(), kMixed.size());
  ASSERT_EQ(d.part_count(), 5u);
  EXPECT_EQ(d.part(1).media_subtype, "html");
  EXPECT_EQ(d.part(1).charset, "iso-8859-1");
  EXPECT_EQ(d.part(1).encoding, TransferEncoding::kQuotedPrintable);
  const auto range = FindSection(d.Parts(), *ParseSection("2.1"));
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(kMixed.substr(range->start, range->size), "hi");
}

TEST(Digest, RefusesForeignBytes) {
  const std::string bytes = MakeDigest(kMixed);
  EXPECT_FALSE(DigestView::Open("").has_value());
  EXPECT_FALSE(DigestView::Open(std::string(1000, 'x')).has_value());
  EXPECT_FALSE(DigestView::Open(std::string_view(bytes).substr(0, bytes.size() - 1)).has_value());
  EXPECT_FALSE(MakeDigest("").empty());
}

// [RFC5256 2.1]
TEST(BaseSubject, TakesOffWhatRepliesAdd) {
  EXPECT_EQ(ExtractBaseSubject("Re: hello").text, "HELLO");
  EXPECT_EQ(ExtractBaseSubject("RE [x] : [y] Fw: hello  world (fwd) ").text, "HELLO WORLD");
  EXPECT_EQ(ExtractBaseSubject("[Fwd: Re: hello]").text, "HELLO");
  EXPECT_EQ(ExtractBaseSubject("[only]").text, "[ONLY]");
  EXPECT_EQ(ExtractBaseSubject("[a] [b]").text, "[B]");
  EXPECT_EQ(ExtractBaseSubject("regards").text, "REGARDS");
  EXPECT_EQ(ExtractBaseSubject("Re:").text, "");
  EXPECT_EQ(ExtractBaseSubject("hello").reply, Reply::kNo);
  EXPECT_EQ(ExtractBaseSubject("hello (fwd)").reply, Reply::kYes);
}

// Every shape that once made a parser quadratic, at a size where that would take minutes.
TEST(Digest, TakesLinearTime) {
  const std::string_view head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  const auto repeat = [](std::string_view text, size_t size) {
    std::string out;
    while (out.size() < size) out += text;
    return out;
  };
  constexpr size_t kSize = 8'000'000;
  std::vector<std::string> shapes;
  shapes.push_back(base::StrCat(head, repeat("--b\r\n", kSize)));
  shapes.push_back(base::StrCat(head, repeat("--c\r\n", kSize)));
  shapes.push_back(base::StrCat("Subject: ", repeat("=?utf-8?q?", kSize), "\r\n\r\n"));
  shapes.push_back(base::StrCat("To: ", repeat("a@", kSize), "\r\n\r\n"));
  shapes.push_back(base::StrCat("References: ", repeat("<a", kSize), "\r\n\r\n"));
  shapes.push_back(base::StrCat("Content-Type: text/plain; ", repeat("a*0=b;", kSize), "\r\n\r\n"));
  shapes.push_back(base::StrCat("Content-Type: text/html\r\n\r\n", repeat("<!--", kSize)));
  shapes.push_back(base::StrCat("Content-Type: text/html\r\n\r\n", repeat("<style></", kSize)));
  shapes.push_back(repeat("A:\r\n b\r\n", kSize));
  shapes.push_back(base::StrCat("Subject: ", repeat("[fwd:", kSize), repeat("]", kSize), "\r\n"));
  for (const std::string& shape : shapes) {
    const auto start = std::chrono::steady_clock::now();
    const std::string digest = MakeDigest(shape);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20))
        << shape.substr(0, 60);
    EXPECT_LT(digest.size(), shape.size() * 3 + 10'000'000);
  }
}

}  // namespace
}  // namespace posthorn::mime
