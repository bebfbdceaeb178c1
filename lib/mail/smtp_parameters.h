#pragma once

// The parameters of MAIL and RCPT, for smtp_command.cc only.

#include <optional>
#include <string_view>

#include "lib/mail/smtp_command.h"

namespace posthorn::mail::internal {

// `text` is what follows the path. The reply to give when it is not right.
std::optional<Reply> ReadMailParameters(std::string_view text, MailFrom& mail);
std::optional<Reply> ReadRcptParameters(std::string_view text, RcptTo& rcpt);

}  // namespace posthorn::mail::internal
