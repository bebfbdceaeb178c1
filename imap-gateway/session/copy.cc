#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

// [RFC9051 6.4.7, 6.4.8], [RFC4315 3]
net::Task<Completion> OnCopy(Session& session, Input input) {
  absl::StatusOr<CopyArguments> arguments = ParseCopy(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  const absl::StatusOr<NumberSet> uids = NamedUids(session, arguments->set, input.by_uid);
  if (!uids.ok()) co_return FromParse(uids.status());
  const bool move = input.name.ends_with("MOVE");
  Cursor& cursor = session.selected()->cursor;
  // [RFC2180 4.4] a copy of some of the messages would look like one of all.
  if (!input.by_uid && cursor.AnyGhost(*uids))
    co_return Completion::No("[EXPUNGEISSUED] Some of the messages are gone");
  if (uids->empty()) co_return Completion::Ok(base::StrCat(input.name, " completed"));
  store::v1::CopyRequest request;
  request.set_operation(NewOperation());
  request.set_mailbox(cursor.view().mailbox());
  PackRanges(*uids, request.mutable_uids());
  request.set_target(std::move(arguments->mailbox));
  request.set_move(move);
  const auto reply = co_await session.gateway().store.Copy(session.ticket(), std::move(request));
  if (!reply.ok()) co_return FromStatus(reply.status(), Doing::kStoringInto);
  for (const store::v1::Reached& reached : reply->reached())
    if (!(co_await session.WaitForOwn(reached.mailbox(), reached.modseq())).ok())
      co_return Completion::Bye("[UNAVAILABLE] Lost the mail storage during a change");
  const NumberSet from = UnpackRanges(reply->source_uids());
  const NumberSet to = UnpackRanges(reply->target_uids());
  if (from.empty())
    co_return Completion::Ok(base::StrCat(input.name, " completed, nothing was there"));
  const std::string code = base::StrCat("[COPYUID ", reply->uid_validity(), " ", from.ToString(),
                                        " ", to.ToString(), "] ");
  if (!move) co_return Completion::Ok(base::StrCat(code, input.name, " completed"));
  // [RFC6851 4.3] the mapping comes before the EXPUNGE responses, which come with the updates.
  session.Untagged(base::StrCat("OK ", code, "Moved"));
  co_return Completion::Ok(base::StrCat(input.name, " completed"));
}

}  // namespace posthorn::imap_gateway
