#include <algorithm>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/protocol/response.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/fetch_job.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kPiece = 48 << 10;
constexpr uint32_t kFromDigest = kFetchEnvelope | kFetchBody | kFetchBodyStructure;

bool Unseen(const FetchJob& job, size_t row) {
  return (job.view().messages().flags(row) & kSeen) == 0;
}

// [RFC9051 6.4.5] sections without PEEK set \Seen: one call for the whole FETCH.
net::Task<absl::Status> SetSeen(FetchJob& job) {
  if (job.unseen.empty() || job.session.selected()->read_only) co_return absl::OkStatus();
  store::v1::StoreFlagsRequest request;
  request.set_operation(NewOperation());
  request.set_mailbox(job.view().mailbox());
  PackRanges(job.unseen, request.mutable_uids());
  request.set_mode(store::v1::StoreFlagsRequest::ADD);
  request.set_flags(kSeen);
  const auto reply =
      co_await job.session.gateway().store.StoreFlags(job.session.ticket(), std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  for (const store::v1::Reached& reached : reply->reached())
    CO_RETURN_IF_ERROR(co_await job.session.WaitForOwn(reached.mailbox(), reached.modseq()));
  co_return absl::OkStatus();
}

net::Task<absl::Status> Run(FetchJob& job) {
  if (!job.items.sections.empty()) co_return co_await FetchBodies(job);
  if ((job.items.attributes & kFromDigest) != 0) co_return co_await FetchFromDigests(job);
  co_return co_await FetchFromView(job);
}

Completion Complete(const FetchJob& job, std::string_view name) {
  if (job.expunged) return Completion::No("[EXPUNGEISSUED] Some of the messages are gone");
  if (job.oversized) return Completion::No("[LIMIT] Some of the headers are too large");
  if (job.damaged) return Completion::No("[SERVERBUG] Some of the messages cannot be read");
  return Completion::Ok(base::StrCat(name, " completed"));
}

}  // namespace

NumberSet FetchJob::Present() {
  NumberSet present;
  const MessageColumns& rows = view().messages();
  for (const NumberRange& range : uids.ranges()) {
    for (size_t i = rows.LowerBound(range.first); i < rows.size() && rows.uid(i) <= range.last; ++i)
      if (!changed_since || rows.modseq(i) > *changed_since) present.Append(rows.uid(i));
  }
  return present;
}

void AppendAttributes(const MailboxView& view, size_t row, uint32_t attributes, std::string& out) {
  const MessageColumns& rows = view.messages();
  const auto separate = [&out] {
    if (out.back() != '(') out.push_back(' ');
  };
  if ((attributes & kFetchUid) != 0) {
    out.append("UID ");
    AppendNumber(out, rows.uid(row));
  }
  if ((attributes & kFetchFlags) != 0) {
    separate();
    out.append("FLAGS (");
    AppendFlags(out, rows.flags(row), rows.keywords(row), view.keyword_names());
    out.push_back(')');
  }
  if ((attributes & kFetchInternalDate) != 0) {
    separate();
    out.append("INTERNALDATE \"");
    AppendDateTime(out, rows.internal_date(row));
    out.push_back('"');
  }
  if ((attributes & kFetchSize) != 0) {
    separate();
    out.append("RFC822.SIZE ");
    AppendNumber(out, rows.message_size(row));
  }
  if ((attributes & kFetchModSeq) != 0) {
    separate();
    out.append("MODSEQ (");
    AppendNumber(out, rows.modseq(row));
    out.push_back(')');
  }
  if ((attributes & kFetchSaveDate) != 0) {
    separate();
    if (rows.save_date(row) == 0) {
      out.append("SAVEDATE NIL");
      return;
    }
    out.append("SAVEDATE \"");
    AppendDateTime(out, {rows.save_date(row), 0});
    out.push_back('"');
  }
}

bool AppendRowStart(FetchJob& job, uint32_t uid, std::string& out) {
  const std::optional<size_t> row = job.view().messages().Find(uid);
  const uint32_t sequence = row ? job.cursor().SequenceOf(uid) : 0;
  if (sequence == 0) return false;
  base::StrAppend(out, "* ", sequence, " FETCH (");
  AppendAttributes(job.view(), *row, job.items.attributes, out);
  const bool marks = std::any_of(job.items.sections.begin(), job.items.sections.end(),
                                 [](const FetchSection& section) { return !section.peek; });
  if (marks && Unseen(job, *row)) job.unseen.Append(uid);
  return true;
}

net::Task<absl::Status> FetchFromView(FetchJob& job) {
  std::string out;
  out.reserve(kPiece + 512);
  uint64_t count = 0;
  const MessageColumns& rows = job.view().messages();
  for (const NumberRange& range : job.uids.ranges()) {
    uint32_t next = range.first;
    while (true) {
      // Between two pieces the view may have moved; inside one it does not.
      size_t row = rows.LowerBound(next);
      for (; row < rows.size() && rows.uid(row) <= range.last && out.size() < kPiece; ++row) {
        if (job.changed_since && rows.modseq(row) <= *job.changed_since) continue;
        out.append("* ");
        AppendNumber(out, row + job.cursor().GhostsBelow(rows.uid(row)) + 1);
        out.append(" FETCH (");
        AppendAttributes(job.view(), row, job.items.attributes, out);
        out.append(")\r\n");
        ++count;
      }
      if (row == rows.size() || rows.uid(row) > range.last) break;
      next = rows.uid(row);
      if (!(co_await job.session.Send(out)).ok()) co_return absl::CancelledError();
    }
  }
  job.session.gateway().metrics.fetched->Add(static_cast<double>(count));
  if (!(co_await job.session.Send(out)).ok()) co_return absl::CancelledError();
  co_return absl::OkStatus();
}

absl::StatusOr<NumberSet> NamedUids(Session& session, const SequenceSet& set, bool by_uid) {
  Cursor& cursor = session.selected()->cursor;
  const uint32_t count = cursor.Count();
  if (!by_uid) {
    std::optional<NumberSet> uids = cursor.UidsOf(set.Resolve(count));
    if (!uids) return base::Error(absl::StatusCode::kOutOfRange, "No message has such a number");
    return *std::move(uids);
  }
  // What the client was not told of is not there for it.
  const uint32_t last = count == 0 ? 0 : cursor.UidAt(count);
  const NumberSet named = set.Resolve(last);
  std::vector<NumberRange> told;
  for (NumberRange range : named.ranges()) {
    range.last = std::min(range.last, last);
    if (range.first <= range.last) told.push_back(range);
  }
  return NumberSet(std::move(told));
}

// [RFC9051 6.4.5], [RFC7162 3.1.4]
net::Task<Completion> OnFetch(Session& session, Input input) {
  absl::StatusOr<FetchArguments> arguments = ParseFetch(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  absl::StatusOr<NumberSet> uids = NamedUids(session, arguments->set, input.by_uid);
  if (!uids.ok()) co_return FromParse(uids.status());
  FetchJob job{session,
               std::move(arguments->items),
               *std::move(uids),
               arguments->changed_since,
               false,
               false,
               false,
               {}};
  if (input.by_uid) job.items.attributes |= kFetchUid;
  if (job.changed_since) job.items.attributes |= kFetchModSeq;
  if (job.items.Wants(kFetchModSeq)) session.EnableCondstore();
  // [RFC9051 6.4.9] a uid that is not there is no error; a sequence number stands for a message.
  job.expunged = !input.by_uid && job.cursor().AnyGhost(job.uids);
  std::string keywords;
  if (job.items.Wants(kFetchFlags)) session.AppendNewKeywords(keywords);
  if (!(co_await session.Send(keywords)).ok()) co_return Completion::Gone();
  absl::Status status = co_await Run(job);
  if (status.ok()) status = co_await SetSeen(job);
  if (status.code() == absl::StatusCode::kCancelled || status.code() == absl::StatusCode::kDataLoss)
    co_return Completion::Gone();
  if (!status.ok()) co_return FromStatus(status, Doing::kReading);
  co_return Complete(job, input.name);
}

}  // namespace posthorn::imap_gateway
