#include <algorithm>
#include <chrono>
#include <memory>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/protocol/mailbox_name.h"
#include "imap-gateway/protocol/response.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/fetch_job.h"
#include "imap-gateway/session/search_match.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/rpc/client.h"

namespace posthorn::imap_gateway {
namespace {

using Kind = SearchKey::Kind;

struct Hit {
  uint32_t uid;
  uint32_t sequence;
  uint64_t modseq;
};

class Search {
 public:
  Search(Session& session, const SearchKey& key) : session_(session), key_(key) {}

  // Asks the store for what the view cannot answer, then matches.
  net::Task<absl::StatusOr<std::vector<Hit>>> Run() {
    while (const SearchKey* remote = NextRemote(key_)) {
      const NumberSet candidates = Collect(Match::kUnknown);
      if (candidates.empty()) {
        answers_[remote] = NumberSet();
      } else if (remote->kind == Kind::kSentBefore || remote->kind == Kind::kSentOn ||
                 remote->kind == Kind::kSentSince) {
        CO_ASSIGN_OR_RETURN(answers_[remote], co_await AskDates(*remote, candidates));
      } else {
        CO_ASSIGN_OR_RETURN(answers_[remote], co_await AskText(*remote, candidates));
      }
    }
    co_return Hits();
  }

 private:
  const SearchKey* NextRemote(const SearchKey& key) const {
    if (IsRemote(key.kind)) return answers_.contains(&key) ? nullptr : &key;
    for (const SearchKey& child : key.children)
      if (const SearchKey* found = NextRemote(child)) return found;
    return nullptr;
  }

  Cursor& cursor() { return session_.selected()->cursor; }
  SearchScope Scope() {
    const uint32_t count = cursor().Count();
    return {cursor().view().messages(),
            cursor().view().keyword_names(),
            answers_,
            base::WallSeconds(),
            count,
            count == 0 ? 0 : cursor().UidAt(count)};
  }

  // Calls `take(row, sequence)` for each told row that matches like `wanted`.
  template <class Take>
  void ForEach(Match wanted, Take take) {
    const SearchScope scope = Scope();
    const Matcher matcher(key_, scope);
    const size_t rows = scope.messages.CountUpTo(cursor().highest_told());
    for (size_t row = 0; row < rows; ++row) {
      const auto sequence =
          static_cast<uint32_t>(row + cursor().GhostsBelow(scope.messages.uid(row)) + 1);
      if (matcher.Matches(row, sequence) == wanted) take(row, sequence);
    }
  }

  NumberSet Collect(Match wanted) {
    NumberSet uids;
    ForEach(wanted,
            [&](size_t row, uint32_t) { uids.Append(cursor().view().messages().uid(row)); });
    return uids;
  }

  std::vector<Hit> Hits() {
    std::vector<Hit> hits;
    const MessageColumns& messages = cursor().view().messages();
    ForEach(Match::kYes, [&](size_t row, uint32_t sequence) {
      hits.push_back({messages.uid(row), sequence, messages.modseq(row)});
    });
    return hits;
  }

  net::Task<absl::StatusOr<NumberSet>> AskText(const SearchKey& key, NumberSet candidates) {
    store::v1::SearchTextRequest request;
    request.set_mailbox(cursor().view().mailbox());
    PackRanges(candidates, request.mutable_uids());
    request.set_where(key.kind == Kind::kHeader ? store::v1::SearchTextRequest::HEADER
                      : key.kind == Kind::kBody ? store::v1::SearchTextRequest::BODY
                                                : store::v1::SearchTextRequest::TEXT);
    request.set_field(key.field);
    request.set_needle(key.text);
    // Destroyed with this coroutine, which ends the search at the store.
    const std::unique_ptr<rpc::RawCall> call =
        session_.gateway().store.SearchText(session_.ticket());
    CO_RETURN_IF_ERROR(co_await call->Write(request));
    call->WritesDone();
    std::vector<NumberRange> found;
    store::v1::SearchTextReply reply;
    for (;;) {
      CO_ASSIGN_OR_RETURN(const bool more, co_await call->Read(reply));
      if (!more) co_return NumberSet(std::move(found));
      const NumberSet piece = UnpackRanges(reply.uids());
      found.insert(found.end(), piece.ranges().begin(), piece.ranges().end());
      CO_RETURN_IF_ERROR(co_await TellProgress());
    }
  }

  // A search of bodies may take minutes. What is sent meanwhile keeps the client waiting, and a
  // client that is gone is found out by it.
  net::Task<absl::Status> TellProgress() {
    if (session_.leaving()) co_return absl::CancelledError("the session ends");
    const auto now = std::chrono::steady_clock::now();
    if (now - told_ < session_.config().progress_every) co_return absl::OkStatus();
    told_ = now;
    session_.Untagged("OK Still searching");
    if (!(co_await session_.FlushNow()).ok()) co_return absl::CancelledError("the client is gone");
    co_return absl::OkStatus();
  }

  // The Date header, without regard to time and zone; without one the internal date.
  net::Task<absl::StatusOr<NumberSet>> AskDates(const SearchKey& key, NumberSet candidates) {
    NumberSet found;
    DigestStream digests(session_, candidates);
    while (true) {
      CO_ASSIGN_OR_RETURN(const bool more, co_await digests.Next());
      if (!more) break;
      const auto row = cursor().view().messages().Find(digests.uid());
      if (!row) continue;
      int32_t day = LocalDay(cursor().view().messages().internal_date(*row));
      const auto digest = mime::DigestView::Open(digests.digest());
      if (digest && digest->sent_at())
        day = LocalDay({*digest->sent_at(), digest->sent_zone_minutes()});
      const bool matches = key.kind == Kind::kSentBefore ? day < key.number
                           : key.kind == Kind::kSentOn   ? day == key.number
                                                         : day >= key.number;
      if (matches) found.Append(digests.uid());
    }
    co_return found;
  }

  Session& session_;
  const SearchKey& key_;
  RemoteAnswers answers_;
  std::chrono::steady_clock::time_point told_ = std::chrono::steady_clock::now();
};

uint32_t NumberOf(const Hit& hit, bool by_uid) { return by_uid ? hit.uid : hit.sequence; }

uint64_t HighestModSeq(const std::vector<Hit>& hits) {
  uint64_t highest = 0;
  for (const Hit& hit : hits) highest = std::max(highest, hit.modseq);
  return highest;
}

// [RFC3501 7.2.5]
void AppendSearch(const std::vector<Hit>& hits, bool by_uid, bool modseq, std::string& out) {
  out.append("* SEARCH");
  for (const Hit& hit : hits) {
    out.push_back(' ');
    AppendNumber(out, NumberOf(hit, by_uid));
  }
  if (modseq && !hits.empty()) base::StrAppend(out, " (MODSEQ ", HighestModSeq(hits), ")");
  out.append("\r\n");
}

// [RFC4731 3.1]
void AppendEsearch(const std::vector<Hit>& hits, const SearchReturn& options, bool by_uid,
                   bool modseq, std::string_view tag, std::string& out) {
  base::StrAppend(out, "* ESEARCH (TAG \"", tag, "\")", by_uid ? " UID" : "");
  if (!hits.empty()) {
    if (options.min) base::StrAppend(out, " MIN ", NumberOf(hits.front(), by_uid));
    if (options.max) base::StrAppend(out, " MAX ", NumberOf(hits.back(), by_uid));
    if (options.all) {
      NumberSet all;
      for (const Hit& hit : hits) all.Append(NumberOf(hit, by_uid));
      base::StrAppend(out, " ALL ", all.ToString());
    }
  }
  if (options.count) base::StrAppend(out, " COUNT ", hits.size());
  if (modseq && !hits.empty()) base::StrAppend(out, " MODSEQ ", HighestModSeq(hits));
  out.append("\r\n");
}

bool AllUtf8(const SearchKey& key) {
  if (!IsUtf8(key.text) || !IsUtf8(key.field)) return false;
  return std::all_of(key.children.begin(), key.children.end(), AllUtf8);
}

}  // namespace

// [RFC9051 6.4.4], [RFC7162 3.1.5]
net::Task<Completion> OnSearch(Session& session, Input input) {
  Scanner scan(input.arguments);
  const absl::StatusOr<SearchArguments> arguments = ParseSearch(scan);
  if (arguments.status().code() == absl::StatusCode::kUnimplemented)
    co_return Completion::No("[BADCHARSET (US-ASCII UTF-8)] Unknown charset");
  if (!arguments.ok()) co_return FromParse(arguments.status());
  if (!AllUtf8(arguments->key))
    co_return Completion::No("[BADCHARSET (US-ASCII UTF-8)] Text is not UTF-8");
  if (arguments->has_modseq) session.EnableCondstore();
  Search search(session, arguments->key);
  const absl::StatusOr<std::vector<Hit>> hits = co_await search.Run();
  if (hits.status().code() == absl::StatusCode::kCancelled) co_return Completion::Gone();
  if (!hits.ok()) co_return FromStatus(hits.status(), Doing::kReading);
  std::string out;
  if (arguments->options.any) {
    AppendEsearch(*hits, arguments->options, input.by_uid, arguments->has_modseq, session.tag(),
                  out);
  } else {
    AppendSearch(*hits, input.by_uid, arguments->has_modseq, out);
  }
  if (!(co_await session.Send(out)).ok()) co_return Completion::Gone();
  co_return Completion::Ok(base::StrCat(input.name, " completed"));
}

}  // namespace posthorn::imap_gateway
