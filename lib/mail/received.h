#pragma once

// Trace fields we put above a message [RFC5321 4.4]. Pure.

#include <string>
#include <string_view>

#include "lib/mail/address.h"
#include "lib/mail/date.h"

namespace posthorn::mail {

enum class Greeting { kHelo, kEhlo, kLhlo };
enum class Encrypted { kNo, kYes };
enum class Authenticated { kNo, kYes };

// "SMTP", "ESMTPSA", "UTF8LMTPS" … [RFC3848, RFC6531 4.3]
std::string WithProtocol(Greeting greeting, Encrypted encrypted, Authenticated authenticated,
                         Utf8 smtputf8);

struct ReceivedFields {
  std::string_view helo;      // what the client called itself
  std::string_view peer;      // its verified name; empty when it has none
  std::string_view ip;        // "192.0.2.1" or "2001:db8::1"; empty: no "from" is written
  std::string_view by;        // our host name
  std::string_view with;      // WithProtocol
  std::string_view tls;       // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: no comment
  std::string_view id;        // our message id
  std::string_view for_path;  // the only recipient; must be empty when there are several
  Date date;
};

// "Received: …\r\n", folded to lines of at most 78 characters where words allow it. Whatever the
// strings hold, the result is one well-formed field.
std::string BuildReceived(const ReceivedFields& fields);
// "Return-Path: <…>\r\n"; the null path gives "<>".
std::string BuildReturnPath(const Path& reverse_path);

}  // namespace posthorn::mail
