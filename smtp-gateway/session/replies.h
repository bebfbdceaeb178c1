#pragma once

// Replies that several commands share, and the one place where a status becomes a reply.

#include <string_view>

#include "absl/status/status.h"
#include "lib/mail/smtp_reply.h"

namespace posthorn::smtp_gateway::replies {

mail::Reply ShuttingDown(std::string_view hostname);
mail::Reply LineTooLong();
mail::Reply WrongGreeting(bool lmtp);
// For a failure of ours (another process is away, a disk is full …): 4xx always. The text never says what happened
// inside; `session` finds it in the log.
mail::Reply FromFailure(const absl::Status& status, std::string_view session);

}  // namespace posthorn::smtp_gateway::replies
