#include "smtp-gateway/session/replies.h"

#include "lib/base/strings.h"

namespace posthorn::smtp_gateway::replies {

mail::Reply ShuttingDown(std::string_view hostname) {
  return {421, {4, 3, 2}, base::StrCat(hostname, " is shutting down, try again")};
}

mail::Reply LineTooLong() { return {500, {5, 5, 6}, "Line too long"}; }

mail::Reply WrongGreeting(bool lmtp) {
  return {500, {5, 5, 1}, lmtp ? "This is LMTP: say LHLO" : "This is SMTP: say EHLO"};
}

mail::Reply FromFailure(const absl::Status& status, std::string_view session) {
  if (absl::IsResourceExhausted(status))
    return {452, {4, 3, 1}, base::StrCat("Insufficient system storage, try again later (", session, ")")};
  return {451, {4, 3, 0}, base::StrCat("Temporary failure, try again later (", session, ")")};
}

}  // namespace posthorn::smtp_gateway::replies
