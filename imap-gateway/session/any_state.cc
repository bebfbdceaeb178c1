#include "imap-gateway/session/commands.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::imap_gateway {

// [RFC9051 6.1.1]
net::Task<Completion> OnCapability(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  session.Untagged(base::StrCat("CAPABILITY ", session.Capabilities()));
  co_return Completion::Ok("CAPABILITY completed");
}

// [RFC9051 6.1.2]; CHECK has nothing of its own to do: all that was answered is durable.
net::Task<Completion> OnNoop(Session&, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  co_return Completion::Ok(base::StrCat(input.name, " completed"));
}

// [RFC9051 6.1.3]
net::Task<Completion> OnLogout(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  session.Untagged("BYE Logging out");
  session.connection().Append(base::StrCat(session.tag(), " OK LOGOUT completed\r\n"));
  // Whether it could be written or not, this is the end.
  (void)co_await session.FlushNow();
  co_return Completion::Gone();
}

// [RFC2971 3.1]
net::Task<Completion> OnId(Session& session, Input input) {
  absl::StatusOr<std::string> client = ParseId(input.arguments);
  if (!client.ok()) co_return FromParse(client.status());
  session.set_client(*std::move(client));
  session.Untagged("ID (\"name\" \"Posthorn\")");
  co_return Completion::Ok("ID completed");
}

}  // namespace posthorn::imap_gateway
