#include "delivery-queue/dsn/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery-queue/dsn/dsn_writer.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report Sample() {
  Report report;
  report.hostname = "mail.us.test";
  report.message_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  report.to = "jo@us.test";
  report.envid = "QQ314159";
  report.now_ms = 1'000'000'000'000;
  report.arrived_ms = 999'999'000'000;
  report.recipients = {
      {"a@far.test", "rfc822;team@us.test", "5.1.1", "550 5.1.1 no such user", "mx.far.test", 1}};
  report.original = "Subject: hello\r\n";
  return report;
}

TEST(Report, IsADeliveryStatusNotification) {  // [RFC3464 2], [RFC6522 3]
  EXPECT_EQ(BuildReport(Sample()).bytes,
            "From: Mail Delivery System <mailer-daemon@mail.us.test>\r\n"
            "To: <jo@us.test>\r\n"
            "Subject: Undelivered mail returned to sender\r\n"
            "Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n"
            "Message-ID: <01ARZ3NDEKTSV4RRFFQ69G5FAV@mail.us.test>\r\n"
            "Auto-Submitted: auto-replied\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status;\r\n"
            "\tboundary=\"=_01ARZ3NDEKTSV4RRFFQ69G5FAV\"\r\n"
            "\r\n--=_01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
            "This is the mail system at mail.us.test.\r\n\r\n"
            "Your message could not be delivered to the following recipients:\r\n\r\n"
            "  <a@far.test>\r\n    mx.far.test said:\r\n    550 5.1.1 no such user\r\n\r\n"
            "The header of the message is attached.\r\n"
            "\r\n--=_01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"
            "Content-Type: message/delivery-status\r\n\r\n"
            "Original-Envelope-Id: QQ314159\r\n"
            "Reporting-MTA: dns; mail.us.test\r\n"
            "Arrival-Date: Sun, 9 Sep 2001 01:30:00 +0000\r\n\r\n"
            "Original-Recipient: rfc822; team@us.test\r\n"
            "Final-Recipient: rfc822; a@far.test\r\n"
            "Action: failed\r\n"
            "Status: 5.1.1\r\n"
            "Remote-MTA: dns; mx.far.test\r\n"
            "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
            "Last-Attempt-Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n"
            "\r\n--=_01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"
            "Content-Type: text/rfc822-headers\r\n\r\n"
            "Subject: hello\r\n"
            "\r\n--=_01ARZ3NDEKTSV4RRFFQ69G5FAV--\r\n");
}

TEST(Report, AddressesOutsideAsciiAreUtf8Typed) {  // [RFC6533 3]
  Report report = Sample();
  report.recipients[0].address = "j\xC3\xB6@far.test";
  const ReportText text = BuildReport(report);
  EXPECT_THAT(text.bytes, HasSubstr("Final-Recipient: utf-8; j\xC3\xB6@far.test\r\n"));
  EXPECT_THAT(text.bytes, HasSubstr("Content-Type: message/global-delivery-status\r\n"));
  EXPECT_TRUE(text.body_8bit);
}

TEST(Report, NothingFromOutsideCanAddALine) {
  Report report = Sample();
  report.recipients[0].diagnostic = "550 x\r\nBcc: evil@x.test\r\n";
  EXPECT_THAT(BuildReport(report).bytes, Not(HasSubstr("\r\nBcc:")));
}

TEST(Report, TheHeaderSectionEndsAtTheEmptyLine) {
  EXPECT_EQ(HeaderSection("A: b\r\nC: d\r\n\r\nbody"), "A: b\r\nC: d\r\n");
  EXPECT_EQ(HeaderSection("A: b\r\n"), "A: b\r\n");
  EXPECT_EQ(HeaderSection("\r\nbody\r\n\r\n"), "");
}

TEST(Notify, SaysWhetherAFailureIsReported) {  // [RFC3461 4.1]
  constexpr auto kFailed = ReportRequest::Action::kFailed;
  constexpr auto kDelayed = ReportRequest::Action::kDelayed;
  EXPECT_TRUE(WantsReport("", kFailed));
  EXPECT_TRUE(WantsReport("SUCCESS,failure", kFailed));
  EXPECT_FALSE(WantsReport("NEVER", kFailed));
  EXPECT_FALSE(WantsReport("SUCCESS,DELAY", kFailed));
  EXPECT_TRUE(WantsReport("SUCCESS,DELAY", kDelayed));
  EXPECT_FALSE(WantsReport("NEVER", kDelayed));
}

}  // namespace
}  // namespace posthorn::delivery_queue
