#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/fetch_job.h"
#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kPiece = 48 << 10;

}  // namespace

struct DigestStream::State {
  std::unique_ptr<rpc::RawCall> call;
  store::v1::ReadDigestsRequest request;
  store::v1::ReadDigestsReply reply;
  int at = -1;
  bool asked = false;
};

DigestStream::DigestStream(Session& session, const NumberSet& uids) {
  state_ = std::make_unique<State>();
  state_->request.set_mailbox(session.selected()->cursor.view().mailbox());
  PackRanges(uids, state_->request.mutable_uids());
  state_->call = session.gateway().store.ReadDigests(session.ticket());
}
DigestStream::~DigestStream() = default;

net::Task<absl::StatusOr<bool>> DigestStream::Next() {
  State& state = *state_;
  if (!state.asked) {
    state.asked = true;
    CO_RETURN_IF_ERROR(co_await state.call->Write(state.request));
    state.call->WritesDone();
    state.request.Clear();
  }
  ++state.at;
  while (state.at >= state.reply.uids_size() || state.at >= state.reply.digests_size()) {
    CO_ASSIGN_OR_RETURN(const bool more, co_await state.call->Read(state.reply));
    if (!more) co_return false;
    state.at = 0;
  }
  co_return true;
}

uint32_t DigestStream::uid() const { return state_->reply.uids(state_->at); }
const std::string& DigestStream::digest() const { return state_->reply.digests(state_->at); }
uint32_t DigestStream::prefix_size() const {
  return state_->at < state_->reply.prefix_sizes_size() ? state_->reply.prefix_sizes(state_->at)
                                                        : 0;
}

bool AppendDigestItems(const FetchItems& items, std::string_view digest, std::string& out) {
  const std::optional<mime::DigestView> view = mime::DigestView::Open(digest);
  if (!view) return false;
  const auto name = [&out](std::string_view text) {
    if (out.back() != '(') out.push_back(' ');
    out.append(text);
  };
  if (items.Wants(kFetchEnvelope)) {
    name("ENVELOPE ");
    mime::AppendEnvelope(*view, out);
  }
  if (items.Wants(kFetchBody)) {
    name("BODY ");
    mime::AppendBodyStructure(*view, mime::Extensible::kNo, out);
  }
  if (items.Wants(kFetchBodyStructure)) {
    name("BODYSTRUCTURE ");
    mime::AppendBodyStructure(*view, mime::Extensible::kYes, out);
  }
  return true;
}

net::Task<absl::Status> FetchFromDigests(FetchJob& job) {
  const NumberSet present = job.Present();
  if (present.empty()) co_return absl::OkStatus();
  DigestStream digests(job.session, present);
  std::string out;
  out.reserve(kPiece + 4096);
  uint64_t count = 0;
  while (true) {
    const absl::StatusOr<bool> more = co_await digests.Next();
    if (!more.ok()) co_return more.status();
    if (!*more) break;
    const size_t before = out.size();
    if (AppendRowStart(job, digests.uid(), out) &&
        AppendDigestItems(job.items, digests.digest(), out)) {
      out.append(")\r\n");
      ++count;
    } else {
      out.resize(before);
    }
    if (out.size() > kPiece && !(co_await job.session.Send(out)).ok())
      co_return absl::CancelledError();
  }
  // Fewer than asked for: gone meanwhile, or without a digest that can be read.
  if (count < present.Count())
    (job.Present().Count() < present.Count() ? job.expunged : job.damaged) = true;
  job.session.gateway().metrics.fetched->Add(static_cast<double>(count));
  if (!(co_await job.session.Send(out)).ok()) co_return absl::CancelledError();
  co_return absl::OkStatus();
}

}  // namespace posthorn::imap_gateway
