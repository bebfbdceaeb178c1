#include "delivery-queue/dsn/report.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/mail/date.h"
#include "lib/mail/utf8.h"

namespace posthorn::delivery_queue {
namespace {

using Action = ReportRequest::Action;
using base::StrAppend;
using base::StrCat;

std::string Date(int64_t ms) { return mail::FormatDate({ms / 1000, 0}); }

// One line of a field: what would break it becomes a blank, and outside ASCII a question mark where
// UTF-8 may not be.
std::string Clean(std::string_view text, bool utf8) {
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) c = ' ';
    if (byte > 127 && !utf8) c = '?';
  }
  return out;
}

bool NeedsUtf8(const Report& report) {
  return !mail::IsAscii(report.to) || std::ranges::any_of(report.recipients, [](const auto& each) {
    return !mail::IsAscii(each.address);
  });
}

// [RFC6533 3] the address type says how the address is written.
std::string Typed(std::string_view address) {
  return StrCat(mail::IsAscii(address) ? "rfc822; " : "utf-8; ", address);
}

std::string Header(const Report& report, std::string_view boundary, bool body_8bit) {
  return StrCat("From: Mail Delivery System <mailer-daemon@", report.hostname, ">\r\n", "To: <",
                Clean(report.to, true), ">\r\n", "Subject: ", SubjectOf(report.action),
                "\r\nDate: ", Date(report.now_ms), "\r\n", "Message-ID: <", report.message_id, "@",
                report.hostname, ">\r\n",
                // [RFC3834 5]
                "Auto-Submitted: auto-replied\r\n", "MIME-Version: 1.0\r\n",
                "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"",
                boundary, "\"\r\n", body_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

std::string_view Introduction(Action action) {
  return action == Action::kDelayed
             ? "Your message could not be delivered yet. It will be tried again; you need not "
               "do anything.\r\nThese recipients do not have it:\r\n"
             : "Your message could not be delivered to the following recipients:\r\n";
}

// "3 days", "5 hours", "1 minute"
std::string Words(int64_t ms) {
  struct Unit {
    int64_t ms;
    std::string_view name;
  };
  for (const Unit& unit : {Unit{86'400'000, "day"}, {3'600'000, "hour"}, {60'000, "minute"}}) {
    const int64_t count = ms / unit.ms;
    if (count > 0) return StrCat(count, " ", unit.name, count == 1 ? "" : "s");
  }
  return "a moment";
}

void AppendStory(const Report& report, const Report::Recipient& recipient, bool utf8,
                 std::string& text) {
  StrAppend(text, "\r\n  <", Clean(recipient.address, utf8), ">\r\n");
  if (recipient.status == "4.4.7")
    StrAppend(text, "    given up after ", Words(report.now_ms - report.arrived_ms), " and ",
              recipient.attempts, recipient.attempts == 1 ? " attempt" : " attempts",
              "; the last one ended so:\r\n");
  if (!recipient.remote_host.empty())
    StrAppend(text, "    ", Clean(recipient.remote_host, utf8), " said:\r\n");
  StrAppend(text, "    ", Clean(recipient.diagnostic, utf8), "\r\n");
}

std::string HumanPart(const Report& report, bool utf8) {
  std::string text =
      StrCat("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ",
             utf8 ? "8bit" : "7bit", "\r\n\r\nThis is the mail system at ", report.hostname,
             ".\r\n\r\n", Introduction(report.action));
  for (const Report::Recipient& recipient : report.recipients)
    AppendStory(report, recipient, utf8, text);
  if (report.action == Action::kDelayed)
    StrAppend(text, "\r\nAttempts go on until ", Date(report.retry_until_ms), ".\r\n");
  return text + (report.part == Report::Part::kMessage
                     ? "\r\nThe message is attached.\r\n"
                     : "\r\nThe header of the message is attached.\r\n");
}

// [RFC3464 2.3]
void AppendRecipient(const Report& report, const Report::Recipient& recipient, bool utf8,
                     std::string& text) {
  text += "\r\n";
  const size_t semicolon = recipient.orcpt.find(';');
  if (semicolon != std::string::npos) {
    StrAppend(text, "Original-Recipient: ", Clean(recipient.orcpt.substr(0, semicolon), utf8), "; ",
              Clean(recipient.orcpt.substr(semicolon + 1), utf8), "\r\n");
  }
  StrAppend(text, "Final-Recipient: ", Clean(Typed(recipient.address), utf8),
            "\r\nAction: ", report.action == Action::kDelayed ? "delayed" : "failed",
            "\r\nStatus: ", recipient.status, "\r\n");
  const bool said = !recipient.remote_host.empty();
  if (said) StrAppend(text, "Remote-MTA: dns; ", Clean(recipient.remote_host, utf8), "\r\n");
  // [RFC3464 2.3.6] "smtp" is for what an SMTP server said.
  if (!recipient.diagnostic.empty())
    StrAppend(text, "Diagnostic-Code: ", said ? "smtp; " : "x-posthorn; ",
              Clean(recipient.diagnostic, utf8), "\r\n");
  StrAppend(text, "Last-Attempt-Date: ", Date(report.now_ms), "\r\n");
  if (report.action == Action::kDelayed)
    StrAppend(text, "Will-Retry-Until: ", Date(report.retry_until_ms), "\r\n");
}

// [RFC3464 2.1, 2.2], fields in the order of the grammar
std::string StatusPart(const Report& report, bool utf8) {
  std::string text =
      StrCat("Content-Type: message/", utf8 ? "global-delivery-status" : "delivery-status", "\r\n");
  if (utf8) text += "Content-Transfer-Encoding: 8bit\r\n";
  text += "\r\n";
  if (!report.envid.empty())
    StrAppend(text, "Original-Envelope-Id: ", Clean(report.envid, false), "\r\n");
  StrAppend(text, "Reporting-MTA: dns; ", report.hostname,
            "\r\nArrival-Date: ", Date(report.arrived_ms), "\r\n");
  for (const Report::Recipient& recipient : report.recipients)
    AppendRecipient(report, recipient, utf8, text);
  return text;
}

// [RFC6522 4]; [RFC6533 6] where it holds UTF-8 header fields.
std::string OriginalPart(const Report& report) {
  const bool ascii = mail::IsAscii(report.original);
  const bool header_ascii = mail::IsAscii(HeaderSection(report.original));
  std::string_view type = "text/rfc822-headers";
  if (report.part == Report::Part::kMessage)
    type = header_ascii ? "message/rfc822" : "message/global";
  else if (!header_ascii)
    type = "message/global-headers";
  std::string text = StrCat("Content-Type: ", type, "\r\n");
  if (!ascii) text += "Content-Transfer-Encoding: 8bit\r\n";
  text += "\r\n";
  text += report.original;
  if (!text.ends_with("\r\n")) text += "\r\n";
  return text;
}

}  // namespace

std::string_view SubjectOf(Action action) {
  return action == Action::kDelayed ? "Delayed mail, still being tried"
                                    : "Undelivered mail returned to sender";
}

std::string_view HeaderSection(std::string_view message) {
  if (message.starts_with("\r\n")) return {};
  const size_t end = message.find("\r\n\r\n");
  return end == std::string_view::npos ? message : message.substr(0, end + 2);
}

ReportText BuildReport(const Report& report) {
  const bool utf8 = NeedsUtf8(report);
  const std::string boundary = StrCat("=_", report.message_id);
  std::string body;
  for (const std::string& part :
       {HumanPart(report, utf8), StatusPart(report, utf8), OriginalPart(report)})
    StrAppend(body, "\r\n--", boundary, "\r\n", part);
  StrAppend(body, "\r\n--", boundary, "--\r\n");
  ReportText out;
  out.body_8bit = !mail::IsAscii(body);
  const std::string header = Header(report, boundary, out.body_8bit);
  out.smtputf8 = !mail::IsAscii(header);
  out.bytes = header + body;
  return out;
}

}  // namespace posthorn::delivery_queue
