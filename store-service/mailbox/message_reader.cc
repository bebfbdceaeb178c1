#include "store-service/mailbox/message_reader.h"

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::store_service {

struct MessageReader::Open {
  MessagePlace place;
  uint64_t at = 0;   // next byte of prefix + blob
  uint64_t end = 0;  // one past the last wanted
  bool first = true;
  v1::ReadMessagesReply::Problem problem = v1::ReadMessagesReply::OK;
  std::unique_ptr<BlobReader>
      whole;  // for large messages that are read from their first to their last byte
  uint64_t total() const { return place.prefix.size() + place.blob_size; }
};

MessageReader::MessageReader(Database& database, BlobStore& blobs, AccountId account,
                             v1::ReadMessagesRequest request)
    : database_(&database), blobs_(&blobs), account_(account), request_(std::move(request)) {}

MessageReader::~MessageReader() = default;

// [RFC5322 2.1] the header section with its empty line, or everything when there is no such line.
uint64_t MessageReader::HeaderSize() {
  constexpr uint64_t kStep = 16 * 1024;
  const BlobRef ref{open_->place.blob_key, open_->place.blob_size};
  std::string header;
  while (header.size() < ref.size) {
    const auto more = blobs_->Read(ref, header.size(), std::min(kStep, ref.size - header.size()));
    if (!more.ok() || more->empty()) break;
    const size_t from = header.size() < 3 ? 0 : header.size() - 3;
    header += *more;
    if (header.starts_with("\r\n")) return open_->place.prefix.size() + 2;
    const size_t end = header.find("\r\n\r\n", from);
    if (end != std::string::npos) return open_->place.prefix.size() + end + 4;
  }
  return open_->total();
}

absl::Status MessageReader::Begin(ReadSnapshot& snapshot) {
  const v1::MessagePart& part = request_.parts(part_);
  ASSIGN_OR_RETURN(auto place, snapshot.FindPlace(account_, request_.mailbox(), part.uid()));
  open_ = std::make_unique<Open>();
  if (!place) {
    open_->problem = v1::ReadMessagesReply::GONE;
    return absl::OkStatus();
  }
  open_->place = *std::move(place);
  const uint64_t total = part.header_only() ? HeaderSize() : open_->total();
  open_->at = std::min<uint64_t>(part.offset(), total);
  open_->end = part.length() == 0 ? total : std::min(total, open_->at + part.length());
  const bool all = open_->at <= open_->place.prefix.size() && open_->end == open_->total();
  if (all && open_->place.blob_size > kSmallBlob) {
    auto reader = blobs_->OpenReader({open_->place.blob_key, open_->place.blob_size});
    if (reader.ok()) open_->whole = *std::move(reader);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MessageReader::Bytes(size_t most) {
  const std::string& prefix = open_->place.prefix;
  const uint64_t left = std::min<uint64_t>(most, open_->end - open_->at);
  if (left == 0) return std::string();
  if (open_->at < prefix.size()) {
    return prefix.substr(open_->at, left);
  }
  if (open_->whole) return open_->whole->Next(left);
  return blobs_->Read({open_->place.blob_key, open_->place.blob_size}, open_->at - prefix.size(),
                      left);
}

// An error: the bytes may be whole, but cannot be had now.
absl::Status MessageReader::Judge(const absl::Status& status) {
  const absl::StatusCode code = status.code();
  const bool lost = code == absl::StatusCode::kNotFound || code == absl::StatusCode::kDataLoss;
  if (!status.ok() && !lost) return status;
  open_->problem = v1::ReadMessagesReply::DAMAGED;
  observe::Error("store.message_damaged",
                 {{"account", account_},
                  {"mailbox", request_.mailbox()},
                  {"uid", request_.parts(part_).uid()},
                  {"segment", SegmentOf(open_->place.blob_key)},
                  {"what", status.ok() ? "it ends too early" : base::Message(status)}});
  return absl::OkStatus();
}

absl::Status MessageReader::ReadChunk(std::vector<v1::ReadMessagesReply>& replies, size_t& bytes) {
  v1::ReadMessagesReply reply;
  reply.set_part(static_cast<uint32_t>(part_));
  if (open_->first && open_->problem == v1::ReadMessagesReply::OK) {
    reply.set_prefix_size(static_cast<uint32_t>(open_->place.prefix.size()));
    reply.set_total_size(open_->total());
  }
  open_->first = false;
  while (open_->problem == v1::ReadMessagesReply::OK && open_->at < open_->end &&
         reply.chunk().size() < kChunk) {
    auto chunk = Bytes(kChunk - reply.chunk().size());
    if (!chunk.ok() || chunk->empty()) {
      RETURN_IF_ERROR(Judge(chunk.status()));
      break;
    }
    open_->at += chunk->size();
    if (reply.chunk().empty()) {
      reply.set_chunk(*std::move(chunk));
    } else {
      reply.mutable_chunk()->append(*chunk);
    }
  }
  bytes += reply.chunk().size() + 64;
  reply.set_problem(open_->problem);
  if (open_->problem != v1::ReadMessagesReply::OK || open_->at >= open_->end) {
    reply.set_last(true);
    open_.reset();
    ++part_;
  }
  replies.push_back(std::move(reply));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::ReadMessagesReply>> MessageReader::Next() {
  std::vector<v1::ReadMessagesReply> replies;
  std::unique_ptr<ReadSnapshot> snapshot;
  for (size_t bytes = 0; part_ < request_.parts_size() && bytes < kRound;) {
    if (!open_) {
      if (!snapshot) {
        ASSIGN_OR_RETURN(snapshot, database_->OpenSnapshot());
      }
      RETURN_IF_ERROR(Begin(*snapshot));
    }
    RETURN_IF_ERROR(ReadChunk(replies, bytes));
  }
  return replies;
}

absl::StatusOr<std::string> ReadWhole(BlobStore& blobs, const MessagePlace& place) {
  ASSIGN_OR_RETURN(std::string blob, blobs.Read({place.blob_key, place.blob_size}, 0, 0));
  return place.prefix + blob;
}

}  // namespace posthorn::store_service
