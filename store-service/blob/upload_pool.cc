#include "store-service/blob/upload_pool.h"

#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kMostMessage = uint64_t{1} << 32;

class SegmentUpload final : public Upload {
 public:
  SegmentUpload(UploadPool& pool, std::shared_ptr<Segment> segment)
      : pool_(pool), segment_(std::move(segment)), start_(segment_->durable_end()) {}
  SegmentUpload(const SegmentUpload&) = delete;
  SegmentUpload& operator=(const SegmentUpload&) = delete;
  ~SegmentUpload() override { Abort(); }

  absl::Status Write(std::string_view chunk) override {
    if (segment_ == nullptr) return base::Precondition("the upload is over");
    if (length_ + chunk.size() > kMostMessage) return base::Exhausted("the message is too large");
    RETURN_IF_ERROR(segment_->file().WriteAt(start_ + kHeaderBytes + length_, chunk));
    crc_ = base::Crc32c(chunk, crc_);
    length_ += chunk.size();
    return absl::OkStatus();
  }

  absl::StatusOr<std::string_view> Written() override {
    if (segment_ == nullptr) return base::Precondition("the upload is over");
    ASSIGN_OR_RETURN(mapping_, segment_->file().Map(start_ + kHeaderBytes, length_));
    return mapping_->bytes();
  }

  absl::StatusOr<BlobRef> Finish(std::string_view aux) override {
    if (segment_ == nullptr) return base::Precondition("the upload is over");
    mapping_.reset();
    absl::Status status = WriteRest(aux);
    const BlobRef ref{segment_->number() << kBlobOffsetBits | start_, length_};
    if (!status.ok()) segment_->CutBack();
    pool_.Return(std::exchange(segment_, nullptr));
    if (!status.ok()) return status;
    return ref;
  }

  void Abort() override {
    if (segment_ == nullptr) return;
    mapping_.reset();
    segment_->CutBack();
    pool_.Return(std::exchange(segment_, nullptr));
  }

 private:
  absl::Status WriteRest(std::string_view aux) {
    RecordHeader header;
    header.length = header.original_length = length_;
    header.aux_length = static_cast<uint32_t>(aux.size());
    header.body_crc = crc_;
    header.aux_crc = base::Crc32c(aux);
    const HeaderBytes bytes = EncodeHeader(header, segment_->salt(), start_);
    RETURN_IF_ERROR(segment_->file().WriteAt(start_, std::string_view(bytes.data(), bytes.size())));
    const uint64_t size = RecordSize(header);
    const std::string padding(size - kHeaderBytes - length_ - aux.size(), '\0');
    return segment_->Commit({aux, padding}, size, "segment.upload");
  }

  UploadPool& pool_;
  std::shared_ptr<Segment> segment_;  // null: over
  const uint64_t start_;
  uint64_t length_ = 0;
  uint32_t crc_ = 0;
  std::unique_ptr<file::Mapping> mapping_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Upload>> UploadPool::Begin() {
  std::shared_ptr<Segment> segment;
  {
    const std::lock_guard lock(mutex_);
    if (busy_ >= most_) return base::Exhausted("too many large messages at once");
    ++busy_;
    while (!idle_.empty() && segment == nullptr) {
      segment = std::move(idle_.back());
      idle_.pop_back();
      if (segment->OlderThan(roll_ms_)) std::exchange(segment, nullptr)->Seal();
    }
  }
  if (segment == nullptr) {
    absl::StatusOr<std::shared_ptr<Segment>> made = segments_.Add();
    if (!made.ok()) {
      Return(nullptr);
      return made.status();
    }
    segment = *std::move(made);
  }
  return std::make_unique<SegmentUpload>(*this, std::move(segment));
}

void UploadPool::Return(std::shared_ptr<Segment> segment) {
  const std::lock_guard lock(mutex_);
  --busy_;
  if (segment == nullptr) return;
  if (segment->durable_end() >= roll_bytes_) segment->Seal();
  if (!segment->sealed()) idle_.push_back(std::move(segment));
}

void UploadPool::Roll() {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Segment>& segment : idle_) segment->Seal();
  idle_.clear();
}

}  // namespace posthorn::store_service
