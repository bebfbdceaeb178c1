#include "store-service/blob/s3/object_upload.h"

#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/s3/object_codec.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kBodyAt = kFirstRecord + kHeaderBytes;
// Digest, padding and mark.
constexpr uint64_t kMostAround = uint64_t{2} << 20;
static_assert(ObjectUploads::Limits().message_bytes + kMostAround <= kMostPut);

}  // namespace

class ObjectUpload final : public Upload {
 public:
  ObjectUpload(ObjectUploads& uploads, std::unique_ptr<file::File> file)
      : uploads_(uploads), file_(std::move(file)) {}
  ObjectUpload(const ObjectUpload&) = delete;
  ObjectUpload& operator=(const ObjectUpload&) = delete;
  ~ObjectUpload() override { Abort(); }

  absl::Status Write(std::string_view chunk) override {
    if (file_ == nullptr) return base::Precondition("the upload is over");
    if (length_ + chunk.size() > uploads_.limits_.message_bytes)
      return base::Exhausted("the message is too large");
    RETURN_IF_ERROR(file_->WriteAt(kBodyAt + length_, chunk));
    crc_ = base::Crc32c(chunk, crc_);
    length_ += chunk.size();
    return absl::OkStatus();
  }

  absl::StatusOr<std::string_view> Written() override {
    if (file_ == nullptr) return base::Precondition("the upload is over");
    ASSIGN_OR_RETURN(mapping_, file_->Map(kBodyAt, length_));
    return mapping_->bytes();
  }

  absl::StatusOr<BlobRef> Finish(std::string_view aux) override {
    if (file_ == nullptr) return base::Precondition("the upload is over");
    mapping_.reset();
    absl::StatusOr<BlobRef> ref = PutObject(aux);
    Abort();
    return ref;
  }

  void Abort() override {
    if (file_ == nullptr) return;
    mapping_.reset();
    file_.reset();
    --uploads_.busy_;
  }

 private:
  absl::StatusOr<BlobRef> PutObject(std::string_view aux) {
    ASSIGN_OR_RETURN(const ObjectWriter::Slot slot, uploads_.writer_.NextSlot());
    const auto [before, behind] = EncodeAround(slot.head, length_, crc_, aux);
    RETURN_IF_ERROR(file_->WriteAt(0, before));
    RETURN_IF_ERROR(file_->WriteAt(kBodyAt + length_, behind));
    ASSIGN_OR_RETURN(const std::unique_ptr<file::Mapping> whole,
                     file_->Map(0, kBodyAt + length_ + behind.size()));
    RETURN_IF_ERROR(uploads_.client_.Put(slot.name, whole->bytes()));
    return BlobRef{ObjectKey(slot.segment, slot.index, kFirstRecord), length_};
  }

  ObjectUploads& uploads_;
  std::unique_ptr<file::File> file_;  // null: over
  uint64_t length_ = 0;
  uint32_t crc_ = 0;
  std::unique_ptr<file::Mapping> mapping_;
};

absl::Status ObjectUploads::Load() {
  RETURN_IF_ERROR(system_.MakeDirectory(directory_));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, system_.List(directory_));
  for (const std::string& name : names) {
    if (!name.ends_with(".upload")) continue;
    RETURN_IF_ERROR(system_.Unlink(base::StrCat(directory_, "/", name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Upload>> ObjectUploads::Begin() {
  if (++busy_ > limits_.most) {
    --busy_;
    return base::Exhausted("too many large messages at once");
  }
  const std::string path = base::StrCat(directory_, "/", ++made_, ".upload");
  absl::StatusOr<std::unique_ptr<file::File>> file = system_.Open(path, file::Mode::kCreateNew);
  const absl::Status status = file.ok() ? system_.Unlink(path) : file.status();
  if (!status.ok()) {
    --busy_;
    return status;
  }
  return std::make_unique<ObjectUpload>(*this, *std::move(file));
}

}  // namespace posthorn::store_service
