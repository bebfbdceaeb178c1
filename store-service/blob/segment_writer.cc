#include "store-service/blob/segment_writer.h"

#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"

namespace posthorn::store_service {
namespace {
constexpr std::string_view kPadding("\0\0\0\0\0\0\0", 7);
}  // namespace

absl::Status SegmentWriter::Prepare() {
  const bool roll = roll_.exchange(false);
  if (segment_ != nullptr &&
      (roll || segment_->durable_end() >= roll_bytes_ || segment_->OlderThan(roll_ms_))) {
    segment_->Seal();
  }
  if (segment_ != nullptr && !segment_->sealed()) return absl::OkStatus();
  ASSIGN_OR_RETURN(segment_, segments_.Add());
  return absl::OkStatus();
}

absl::Status SegmentWriter::Write(const std::vector<Message>& batch, std::vector<BlobRef>& refs) {
  RETURN_IF_ERROR(Prepare());
  const uint64_t start = segment_->durable_end();
  uint64_t offset = start;
  std::vector<HeaderBytes> headers(batch.size());
  std::vector<std::string_view> pieces;
  pieces.reserve(batch.size() * 4 + 1);
  refs.reserve(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    const Message& request = batch[i];
    RecordHeader header;
    header.length = header.original_length = request.body.size();
    header.aux_length = static_cast<uint32_t>(request.aux.size());
    header.body_crc = base::Crc32c(request.body);
    header.aux_crc = base::Crc32c(request.aux);
    headers[i] = EncodeHeader(header, segment_->salt(), offset);
    pieces.emplace_back(headers[i].data(), kHeaderBytes);
    pieces.emplace_back(request.body);
    if (!request.aux.empty()) pieces.emplace_back(request.aux);
    const uint64_t size = RecordSize(header);
    const uint64_t padding = size - kHeaderBytes - request.body.size() - request.aux.size();
    if (padding > 0) pieces.push_back(kPadding.substr(0, padding));
    refs.push_back({segment_->number() << kBlobOffsetBits | offset, request.body.size()});
    offset += size;
  }
  return segment_->Commit(std::move(pieces), offset - start, "segment.commit");
}

}  // namespace posthorn::store_service
