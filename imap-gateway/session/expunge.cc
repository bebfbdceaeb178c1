#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

// [RFC9051 6.4.3], UID EXPUNGE of [RFC4315 2.1]
net::Task<Completion> OnExpunge(Session& session, Input input) {
  Cursor& cursor = session.selected()->cursor;
  store::v1::ExpungeRequest request;
  if (input.by_uid) {
    const absl::StatusOr<SequenceSet> set = ParseUidExpunge(input.arguments);
    if (!set.ok()) co_return FromParse(set.status());
    const absl::StatusOr<NumberSet> uids = NamedUids(session, *set, true);
    if (!uids.ok()) co_return FromParse(uids.status());
    // An empty list would mean all.
    if (uids->empty()) co_return Completion::Ok("UID EXPUNGE completed");
    PackRanges(*uids, request.mutable_uids());
  } else if (const absl::Status status = ParseNothing(input.arguments); !status.ok()) {
    co_return FromParse(status);
  }
  request.set_operation(NewOperation());
  request.set_mailbox(cursor.view().mailbox());
  request.set_only_deleted(true);
  const auto reply = co_await session.gateway().store.Expunge(session.ticket(), std::move(request));
  if (!reply.ok()) co_return FromStatus(reply.status(), Doing::kFlagging);
  for (const store::v1::Reached& reached : reply->reached())
    if (!(co_await session.WaitForOwn(reached.mailbox(), reached.modseq())).ok())
      co_return Completion::Bye("[UNAVAILABLE] Lost the mail storage during a change");
  co_return Completion::Ok(base::StrCat(input.name, " completed"));
}

}  // namespace posthorn::imap_gateway
