#include <algorithm>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kPiece = 48 << 10;

store::v1::StoreFlagsRequest MakeRequest(const StoreArguments& arguments, const NumberSet& uids,
                                         uint64_t mailbox) {
  store::v1::StoreFlagsRequest request;
  request.set_operation(NewOperation());
  request.set_mailbox(mailbox);
  PackRanges(uids, request.mutable_uids());
  using Mode = StoreArguments::Mode;
  request.set_mode(arguments.mode == Mode::kAdd      ? store::v1::StoreFlagsRequest::ADD
                   : arguments.mode == Mode::kRemove ? store::v1::StoreFlagsRequest::REMOVE
                                                     : store::v1::StoreFlagsRequest::REPLACE);
  request.set_flags(arguments.flags.system);
  for (const std::string& keyword : arguments.flags.keywords) request.add_keywords(keyword);
  if (arguments.unchanged_since) request.set_unchanged_since(*arguments.unchanged_since);
  return request;
}

// Those of `uids` that are there.
NumberSet Present(const MessageColumns& rows, const NumberSet& uids) {
  NumberSet present;
  for (const NumberRange& range : uids.ranges())
    for (size_t i = rows.LowerBound(range.first); i < rows.size() && rows.uid(i) <= range.last; ++i)
      present.Append(rows.uid(i));
  return present;
}

// [RFC7162 3.1.3] even a silent STORE tells the new modseq to a client that keeps them.
void AppendModSeq(Session& session, uint32_t uid, std::string& out) {
  Cursor& cursor = session.selected()->cursor;
  const std::optional<size_t> row = cursor.view().messages().Find(uid);
  const uint32_t sequence = cursor.SequenceOf(uid);
  if (!row || sequence == 0) return;
  base::StrAppend(out, "* ", sequence, " FETCH (UID ", uid, " MODSEQ (",
                  cursor.view().messages().modseq(*row), "))\r\n");
}

// Untagged FETCH of what the client asked to be told.
net::Task<absl::Status> Tell(Session& session, const StoreArguments& arguments,
                             const NumberSet& stored, const std::vector<uint32_t>& own) {
  Cursor& cursor = session.selected()->cursor;
  std::string out;
  session.AppendNewKeywords(out);
  std::vector<uint32_t> told = own;
  if (!arguments.silent) {
    told.clear();
    const NumberSet present = Present(cursor.view().messages(), stored);
    for (const NumberRange& range : present.ranges())
      for (uint32_t uid = range.first; uid <= range.last; ++uid) told.push_back(uid);
    cursor.ForgetChanged(told);
  } else if (!session.condstore()) {
    told.clear();
  }
  for (const uint32_t uid : told) {
    if (arguments.silent) {
      AppendModSeq(session, uid, out);
    } else {
      session.AppendFlagsUpdate(out, uid);
    }
    if (out.size() > kPiece) CO_RETURN_IF_ERROR(co_await session.Send(out));
  }
  co_return co_await session.Send(out);
}

// "[MODIFIED 7,9]" names what failed in the command's own kind of number.
std::string Modified(Session& session, const NumberSet& failed, bool by_uid) {
  if (by_uid) return failed.ToString();
  NumberSet numbers;
  for (const NumberRange& range : failed.ranges()) {
    for (uint32_t uid = range.first; uid <= range.last; ++uid)
      if (const uint32_t sequence = session.selected()->cursor.SequenceOf(uid))
        numbers.Append(sequence);
  }
  return numbers.ToString();
}

NumberSet Without(const NumberSet& all, const NumberSet& failed) {
  if (failed.empty()) return all;
  NumberSet rest;
  for (const NumberRange& range : all.ranges())
    for (uint32_t uid = range.first; uid <= range.last; ++uid)
      if (!failed.Contains(uid)) rest.Append(uid);
  return rest;
}

}  // namespace

// [RFC9051 6.4.6], [RFC7162 3.1.3]
net::Task<Completion> OnStore(Session& session, Input input) {
  const absl::StatusOr<StoreArguments> arguments = ParseStore(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  const absl::StatusOr<NumberSet> named = NamedUids(session, arguments->set, input.by_uid);
  if (!named.ok()) co_return FromParse(named.status());
  Cursor& cursor = session.selected()->cursor;
  if (arguments->unchanged_since) session.EnableCondstore();
  const bool expunged = !input.by_uid && cursor.AnyGhost(*named);
  const NumberSet uids = Present(cursor.view().messages(), *named);
  if (uids.empty()) {
    if (expunged) co_return Completion::No("[EXPUNGEISSUED] The messages are gone");
    co_return Completion::Ok(base::StrCat(input.name, " completed"));
  }
  auto request = MakeRequest(*arguments, uids, cursor.view().mailbox());
  cursor.ExpectOwn(OperationKey(request.operation()));
  const auto reply =
      co_await session.gateway().store.StoreFlags(session.ticket(), std::move(request));
  absl::Status status = reply.status();
  if (status.ok()) {
    for (const store::v1::Reached& reached : reply->reached())
      if (!(co_await session.WaitForOwn(reached.mailbox(), reached.modseq())).ok())
        co_return Completion::Bye("[UNAVAILABLE] Lost the mail storage during a change");
  }
  const std::vector<uint32_t> own = cursor.TakeOwn();
  if (!status.ok()) co_return FromStatus(status, Doing::kFlagging);
  const NumberSet failed = UnpackRanges(reply->modified());
  if (!(co_await Tell(session, *arguments, Without(uids, failed), own)).ok())
    co_return Completion::Gone();
  if (!failed.empty())
    co_return Completion::Ok(base::StrCat("[MODIFIED ", Modified(session, failed, input.by_uid),
                                          "] ", input.name,
                                          " completed, some were changed before"));
  if (expunged) co_return Completion::No("[EXPUNGEISSUED] Some of the messages are gone");
  co_return Completion::Ok(base::StrCat(input.name, " completed"));
}

}  // namespace posthorn::imap_gateway
