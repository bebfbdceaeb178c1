#include "imap-gateway/session/completion.h"

#include "imap-gateway/protocol/response.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::imap_gateway {
namespace {

// [RFC5530 3]
Completion NotFound(Doing doing) {
  if (doing == Doing::kStoringInto) return Completion::No("[TRYCREATE] No such mailbox");
  return Completion::No("[NONEXISTENT] No such mailbox");
}

Completion Exhausted(Doing doing) {
  if (doing == Doing::kStoringInto) return Completion::No("[OVERQUOTA] Quota exceeded");
  return Completion::No("[LIMIT] Too many");
}

}  // namespace

Completion FromStatus(const absl::Status& status, Doing doing) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Completion::Ok("Completed");
    case absl::StatusCode::kNotFound:
      return NotFound(doing);
    case absl::StatusCode::kAlreadyExists:
      return Completion::No("[ALREADYEXISTS] Mailbox exists");
    case absl::StatusCode::kInvalidArgument:
      return Completion::No("[CANNOT] Not possible with this name or value");
    case absl::StatusCode::kFailedPrecondition:
      return Completion::No("[CANNOT] Not possible with this mailbox");
    case absl::StatusCode::kResourceExhausted:
      return Exhausted(doing);
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return Completion::No("[UNAVAILABLE] Mail storage is not available, try again later");
    // [deep-structures 6] a NO would be tried again and done twice.
    case absl::StatusCode::kUnknown:
      return Completion::Bye("[UNAVAILABLE] Lost the mail storage during a change");
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return Completion::Bye("[UNAVAILABLE] Please log in again");
    case absl::StatusCode::kAborted:
      return Completion::Bye("Mailbox was deleted");
    default:
      break;
  }
  observe::Error("imap.failure", {{"status", base::Message(status)}});
  return Completion::No("[SERVERBUG] Internal error, see the server's log");
}

Completion FromParse(const absl::Status& status) {
  return Completion::Bad(SafeText(base::Message(status)));
}

}  // namespace posthorn::imap_gateway
