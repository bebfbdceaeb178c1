#include "imap-gateway/session/commands.h"

namespace posthorn::imap_gateway {

// [RFC9051 6.3.13]. The session's loop reads DONE; what happens meanwhile is pushed by the view.
net::Task<Completion> OnIdle(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  session.connection().Append("+ idling\r\n");
  session.StartIdle();
  co_return Completion::None();
}

}  // namespace posthorn::imap_gateway
