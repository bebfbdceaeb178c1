#include "store-service/blob/s3/object_file.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kWindow = uint64_t{8} << 20;

absl::Status ReadOnly() { return base::Internal("objects are not changed"); }

class ObjectFile final : public file::File {
 public:
  ObjectFile(S3Client& client, std::string name) : client_(client), name_(std::move(name)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const uint64_t at = offset + done;
      if (at < start_ || at >= start_ + window_.size()) {
        ASSIGN_OR_RETURN(S3Range range, client_.Get(name_, at, kWindow));
        if (range.bytes.empty()) break;
        window_ = std::move(range.bytes);
        start_ = at;
      }
      const std::string_view part =
          std::string_view(window_).substr(at - start_, out.size() - done);
      std::copy(part.begin(), part.end(), out.begin() + static_cast<std::ptrdiff_t>(done));
      done += part.size();
    }
    return done;
  }
  absl::Status WriteAt(uint64_t /*offset*/, std::span<const std::string_view> /*pieces*/) override {
    return ReadOnly();
  }
  absl::Status Truncate(uint64_t /*size*/) override { return ReadOnly(); }
  absl::StatusOr<uint64_t> Size() override { return ReadOnly(); }
  absl::StatusOr<std::unique_ptr<file::Mapping>> Map(uint64_t /*offset*/,
                                                     uint64_t /*length*/) override {
    return ReadOnly();
  }

 protected:
  absl::Status DoSync(std::string_view /*name*/) override { return ReadOnly(); }

 private:
  S3Client& client_;
  const std::string name_;
  uint64_t start_ = 0;
  std::string window_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Segment>> OpenObject(S3Client& client, const std::string& name,
                                                    uint64_t number, uint64_t size) {
  return Segment::OpenSealed(std::make_unique<ObjectFile>(client, name), name, number, size);
}

}  // namespace posthorn::store_service
