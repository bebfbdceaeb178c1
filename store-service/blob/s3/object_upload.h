#pragma once

// Large messages: gathered in a nameless file, put as one object.

#include <atomic>
#include <memory>
#include <string>

#include "lib/file/file_system.h"
#include "store-service/blob/s3/object_writer.h"

namespace posthorn::store_service {

class ObjectUploads {
 public:
  struct Limits {
    size_t most = 16;  // at once
    uint64_t message_bytes = uint64_t{4} << 30;
  };
  // `directory` is made when it is missing; what an earlier run left there is removed.
  ObjectUploads(S3Client& client, ObjectWriter& writer, file::FileSystem& system,
                std::string directory, Limits limits)
      : client_(client),
        writer_(writer),
        system_(system),
        directory_(std::move(directory)),
        limits_(limits) {}
  absl::Status Load();
  // kResourceExhausted when too many are under way; from Write() when the message is too large.
  absl::StatusOr<std::unique_ptr<Upload>> Begin();

 private:
  friend class ObjectUpload;
  S3Client& client_;
  ObjectWriter& writer_;
  file::FileSystem& system_;
  const std::string directory_;
  const Limits limits_;
  std::atomic<size_t> busy_{0};
  std::atomic<uint64_t> made_{0};
};

}  // namespace posthorn::store_service
