// FETCH of sections: where each lies, one stream of bytes for many messages, literals as they come.

#include <algorithm>
#include <utility>
#include <vector>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/fetch_job.h"
#include "imap-gateway/session/section_text.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr uint32_t kFromDigest = kFetchEnvelope | kFetchBody | kFetchBodyStructure;
// Messages asked for in one ReadMessages; fewer when their digests must be kept meanwhile.
constexpr size_t kBatch = 4000;
constexpr size_t kBatchWithDigests = 400;
constexpr size_t kPiece = 48 << 10;

struct Message {
  uint32_t uid = 0;
  std::string digest;
  std::vector<PlannedSection> sections;
};

bool NeedsDigest(const FetchItems& items) {
  return (items.attributes & kFromDigest) != 0 ||
         std::any_of(items.sections.begin(), items.sections.end(), SectionNeedsDigest);
}

// One stream of parts, in the order of the request.
class BodyStream {
 public:
  explicit BodyStream(std::unique_ptr<rpc::RawCall> call) : call_(std::move(call)) {}
  net::Task<absl::Status> Ask(store::v1::ReadMessagesRequest request) {
    CO_RETURN_IF_ERROR(co_await call_->Write(request));
    call_->WritesDone();
    co_return absl::OkStatus();
  }
  // The next chunk; kOutOfRange when the store ended too early.
  net::Task<absl::Status> Next() {
    CO_ASSIGN_OR_RETURN(const bool more, co_await call_->Read(reply_));
    co_return more ? absl::OkStatus() : base::Unavailable("bodies ended early");
  }
  const store::v1::ReadMessagesReply& reply() const { return reply_; }

 private:
  std::unique_ptr<rpc::RawCall> call_;
  store::v1::ReadMessagesReply reply_;
};

class Batch {
 public:
  Batch(FetchJob& job, std::vector<Message> messages) : job_(job), messages_(std::move(messages)) {}

  net::Task<absl::Status> Run() {
    if (NeedsDigest(job_.items)) CO_RETURN_IF_ERROR(co_await ReadDigests());
    store::v1::ReadMessagesRequest request;
    request.set_mailbox(job_.view().mailbox());
    for (Message& message : messages_) Plan(message, request);
    const bool bytes = request.parts_size() > 0;
    BodyStream stream(job_.session.gateway().store.ReadMessages(job_.session.ticket()));
    if (bytes) CO_RETURN_IF_ERROR(co_await stream.Ask(std::move(request)));
    for (Message& message : messages_) CO_RETURN_IF_ERROR(co_await Answer(message, stream));
    co_return (co_await job_.session.Send(out_)).ok() ? absl::OkStatus() : absl::CancelledError();
  }

 private:
  net::Task<absl::Status> ReadDigests() {
    NumberSet uids;
    for (const Message& message : messages_) uids.Append(message.uid);
    DigestStream digests(job_.session, uids);
    size_t at = 0;
    while (true) {
      CO_ASSIGN_OR_RETURN(const bool more, co_await digests.Next());
      if (!more) break;
      while (at < messages_.size() && messages_[at].uid < digests.uid()) ++at;
      if (at == messages_.size() || messages_[at].uid != digests.uid()) continue;
      messages_[at].digest = digests.digest();
      prefix_sizes_.resize(messages_.size());
      prefix_sizes_[at] = digests.prefix_size();
    }
    co_return absl::OkStatus();
  }

  void Plan(Message& message, store::v1::ReadMessagesRequest& request) {
    const size_t index = static_cast<size_t>(&message - messages_.data());
    const std::optional<size_t> row = job_.view().messages().Find(message.uid);
    const uint64_t size = row ? job_.view().messages().message_size(*row) : 0;
    const uint32_t prefix = index < prefix_sizes_.size() ? prefix_sizes_[index] : 0;
    message.sections = PlanSections(job_.items.sections, message.digest, prefix, size);
    for (const PlannedSection& section : message.sections) {
      if (!section.read) continue;
      store::v1::MessagePart& part = *request.add_parts();
      part.set_uid(message.uid);
      part.set_offset(section.offset);
      part.set_length(section.length);
      part.set_header_only(section.header_only);
    }
  }

  // Writes one FETCH response, or skips the parts of a message that is gone.
  net::Task<absl::Status> Answer(Message& message, BodyStream& stream) {
    const size_t before = out_.size();
    bool well = AppendRowStart(job_, message.uid, out_);
    if (!well) job_.expunged = true;
    if (well && (job_.items.attributes & kFromDigest) != 0 &&
        !AppendDigestItems(job_.items, message.digest, out_)) {
      well = false;
      job_.damaged = true;
    }
    bool first = true;
    for (size_t i = 0; i < message.sections.size(); ++i) {
      const PlannedSection& section = message.sections[i];
      if (section.read) {
        CO_RETURN_IF_ERROR(co_await stream.Next());
        if (Broken(stream.reply(), first && well)) well = false;
        if (!well && first) out_.resize(before);
      }
      if (!well && !first) co_return absl::DataLossError("message went away between its sections");
      if (!well) {
        CO_RETURN_IF_ERROR(co_await SkipPart(section, stream));
        continue;
      }
      first = first && !section.read;
      CO_RETURN_IF_ERROR(co_await WriteSection(job_.items.sections[i], section, stream));
    }
    if (!well) {
      out_.resize(std::min(before, out_.size()));
      co_return absl::OkStatus();
    }
    out_.append(")\r\n");
    job_.session.gateway().metrics.fetched->Add();
    if (out_.size() > kPiece && !(co_await job_.session.Send(out_)).ok())
      co_return absl::CancelledError();
    co_return absl::OkStatus();
  }

  bool Broken(const store::v1::ReadMessagesReply& reply, bool counts) {
    if (reply.problem() == store::v1::ReadMessagesReply::OK) return false;
    if (counts)
      (reply.problem() == store::v1::ReadMessagesReply::GONE ? job_.expunged : job_.damaged) = true;
    return true;
  }

  net::Task<absl::Status> SkipPart(const PlannedSection& section, BodyStream& stream) {
    if (!section.read) co_return absl::OkStatus();
    while (!stream.reply().last() && stream.reply().problem() == store::v1::ReadMessagesReply::OK)
      CO_RETURN_IF_ERROR(co_await stream.Next());
    co_return absl::OkStatus();
  }

  net::Task<absl::Status> WriteSection(const FetchSection& asked, const PlannedSection& section,
                                       BodyStream& stream) {
    base::StrAppend(out_, out_.ends_with('(') ? "" : " ", asked.label);
    if (!section.exists) {
      out_.append(" NIL");
      co_return absl::OkStatus();
    }
    if (!section.read) {
      out_.append(" {0}\r\n");
      co_return absl::OkStatus();
    }
    if (section.whole) co_return co_await WriteGathered(asked, stream);
    co_return co_await WriteStreamed(section, stream);
  }

  // Headers: short, their length is only known at the end.
  net::Task<absl::Status> WriteGathered(const FetchSection& asked, BodyStream& stream) {
    std::string text = stream.reply().chunk();
    bool oversized = false;
    while (!stream.reply().last()) {
      if (const absl::Status next = co_await stream.Next(); !next.ok())
        co_return absl::DataLossError("stream");
      if (stream.reply().problem() != store::v1::ReadMessagesReply::OK)
        co_return absl::DataLossError("message");
      // [deep-structures 14] no sane header is longer; one that is gets NIL and the FETCH a NO.
      oversized = oversized || text.size() + stream.reply().chunk().size() > kMaxGatheredSection;
      if (!oversized) text.append(stream.reply().chunk());
    }
    if (oversized) {
      job_.oversized = true;
      out_.append(" NIL");
      co_return absl::OkStatus();
    }
    const std::string shown = FinishSection(asked, std::move(text));
    base::StrAppend(out_, " {", shown.size(), "}\r\n", shown);
    co_return absl::OkStatus();
  }

  net::Task<absl::Status> WriteStreamed(const PlannedSection& section, BodyStream& stream) {
    const uint64_t total = stream.reply().total_size();
    const uint64_t rest = total > section.offset ? total - section.offset : 0;
    uint64_t left = section.length == 0 ? rest : std::min(section.length, rest);
    base::StrAppend(out_, " {", left, "}\r\n");
    while (true) {
      const std::string& chunk = stream.reply().chunk();
      const size_t part = std::min<uint64_t>(left, chunk.size());
      out_.append(chunk, 0, part);
      left -= part;
      if (stream.reply().last()) break;
      if (out_.size() > kPiece && !(co_await job_.session.Send(out_)).ok())
        co_return absl::CancelledError();
      // The length is announced: without the bytes only the end of the connection is honest.
      if (!(co_await stream.Next()).ok()) co_return absl::DataLossError("stream");
      if (stream.reply().problem() != store::v1::ReadMessagesReply::OK)
        co_return absl::DataLossError("message");
    }
    co_return left == 0 ? absl::OkStatus()
                        : absl::DataLossError("message is shorter than announced");
  }

  FetchJob& job_;
  std::vector<Message> messages_;
  std::vector<uint32_t> prefix_sizes_;
  std::string out_;
};

}  // namespace

net::Task<absl::Status> FetchBodies(FetchJob& job) {
  const NumberSet present = job.Present();
  const size_t limit = NeedsDigest(job.items) ? kBatchWithDigests : kBatch;
  std::vector<Message> messages;
  for (const NumberRange& range : present.ranges()) {
    for (uint32_t uid = range.first;; ++uid) {
      messages.push_back({uid, {}, {}});
      if (messages.size() == limit)
        CO_RETURN_IF_ERROR(co_await Batch(job, std::exchange(messages, {})).Run());
      if (uid == range.last) break;
    }
  }
  if (!messages.empty()) co_return co_await Batch(job, std::move(messages)).Run();
  co_return absl::OkStatus();
}

}  // namespace posthorn::imap_gateway
