#pragma once

// A delivery status notification [RFC3464] in a multipart/report [RFC6522] as message text. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "delivery-queue/core/remote_delivery.h"

namespace posthorn::delivery_queue {

struct Report {
  struct Recipient {
    std::string address;
    std::string orcpt;        // "rfc822;jo@example.org" [RFC3461 4.2]; empty: not given
    std::string status;       // "5.1.1"
    std::string diagnostic;   // what the remote host said, or what went wrong here
    std::string remote_host;  // who said it; empty: we did
    uint32_t attempts = 0;
  };
  ReportRequest::Action action = ReportRequest::Action::kFailed;
  std::string hostname;
  std::string message_id;  // text of the report's own id: Message-ID and boundary come from it
  std::string to;
  std::string envid;
  int64_t now_ms = 0;
  int64_t arrived_ms = 0;
  int64_t retry_until_ms = 0;  // of delayed ones
  std::vector<Recipient> recipients;
  // The returned message, or its header section alone.
  enum class Part { kHeaders, kMessage };
  Part part = Part::kHeaders;
  std::string_view original;
};

struct ReportText {
  std::string bytes;      // CRLF lines
  bool smtputf8 = false;  // addresses outside ASCII: header fields hold UTF-8 [RFC6533]
  bool body_8bit = false;
};
ReportText BuildReport(const Report& report);
std::string_view SubjectOf(ReportRequest::Action action);

// The header section of `message` with its last CRLF, without the empty line.
std::string_view HeaderSection(std::string_view message);

}  // namespace posthorn::delivery_queue
