#include "store-service/message_files.h"

#include <unistd.h>

#include <chrono>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/observe/metrics.h"
#include "store-service/blob/local_blob_store.h"
#include "store-service/blob/registry/sql_segment_registry.h"
#include "store-service/blob/s3/s3_blob_store.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/databases.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20;
constexpr std::chrono::milliseconds kRoomLook{10'000};

std::function<void(std::vector<Completion>)> DeliverOn(net::Loop& loop) {
  return [&loop](std::vector<Completion> batch) {
    auto shared = std::make_shared<std::vector<Completion>>(std::move(batch));
    loop.Post([shared] {
      for (Completion& completion : *shared) completion.done(std::move(completion.result));
    });
  };
}

std::string NameOf(const process::Flags& flags) {
  if (!flags.name.empty()) return flags.name;
  char host[256] = "store";
  ::gethostname(host, sizeof(host) - 1);
  return host;
}

absl::Status ReadMegabytes(const process::Flags& flags, std::string_view flag, uint64_t& bytes) {
  const std::string text = OwnFlag(flags, flag);
  if (text.empty()) return absl::OkStatus();
  const auto megabytes = base::ParseInt<uint32_t>(text);
  if (!megabytes) return base::Invalid(base::StrCat("--", flag, ": megabytes are expected"));
  bytes = *megabytes * kMegabyte;
  return absl::OkStatus();
}

absl::StatusOr<S3BlobOptions> S3Options(const process::Flags& flags, const std::string& where) {
  const std::string file = OwnFlag(flags, "s3-credentials-file");
  if (file.empty()) return base::Invalid("--blobs s3://…: --s3-credentials-file is missing");
  const absl::StatusOr<std::string> credentials = file::ReadWhole(file::Real(), file);
  if (!credentials.ok()) return base::Annotate(credentials.status(), "--s3-credentials-file");
  S3BlobOptions options;
  ASSIGN_OR_RETURN(options.target, ParseS3Target(where, OwnFlag(flags, "s3-endpoint"),
                                                 OwnFlag(flags, "s3-region"), *credentials));
  RETURN_IF_ERROR(ReadMegabytes(flags, "s3-cache", options.cache_bytes));
  RETURN_IF_ERROR(ReadMegabytes(flags, "s3-disk-cache", options.disk_cache_bytes));
  options.disk_cache = flags.data + "/s3-cache";
  options.spool = flags.data + "/uploads";
  return options;
}

}  // namespace

std::vector<std::string> MessageFileFlags() {
  return {"--blobs",    "--s3-endpoint",  "--s3-region", "--s3-credentials-file",
          "--s3-cache", "--s3-disk-cache"};
}

absl::StatusOr<MessageFiles> OpenMessageFiles(process::Service& service,
                                              std::shared_ptr<sql::Database> shared,
                                              std::shared_ptr<sql::WriteGate> gate) {
  const process::Flags& flags = service.flags();
  std::string where = OwnFlag(flags, "blobs");
  const bool bucket = where.starts_with("s3://");
  if (where.empty()) where = flags.data + "/blobs";
  MessageFiles files;
  if (shared == nullptr && bucket) {
    files.registry_file = flags.data + "/blobs.db";
    shared = sql::OpenSqlite(
        {.path = files.registry_file, .vfs = "posthorn-directory", .gate = std::move(gate)});
  }
  if (shared != nullptr) {
    ASSIGN_OR_RETURN(files.registry, SqlSegmentRegistry::Open(std::move(shared)));
  }
  if (bucket) {
    ASSIGN_OR_RETURN(S3BlobOptions options, S3Options(flags, where));
    options.registry = files.registry.get();
    options.writer = NameOf(flags);
    options.deliver = DeliverOn(service.loop());
    ASSIGN_OR_RETURN(files.blobs, OpenS3BlobStore(std::move(options)));
    return files;
  }
  LocalBlobOptions options;
  options.directory = files.folder = where;
  options.registry = files.registry.get();
  options.writer = NameOf(flags);
  options.deliver = DeliverOn(service.loop());
  ASSIGN_OR_RETURN(files.blobs, OpenLocalBlobStore(std::move(options)));
  return files;
}

net::Task<void> WatchRoom(net::Loop* loop, net::BlockingPool* files, BlobStore* blobs) {
  for (;; co_await net::Sleep(*loop, kRoomLook)) {
    const auto place =
        co_await files->Run([blobs]() -> absl::StatusOr<BlobPlace> { return blobs->Place(); });
    if (!place.ok() || !place->free_bytes || !place->size_bytes) continue;
    observe::NewGauge("posthorn_store_blob_disk_free_bytes",
                      "Room left where the bytes of messages lie; none of a bucket",
                      {{"of", "messages"}})
        ->Set(static_cast<double>(*place->free_bytes));
    observe::NewGauge("posthorn_store_blob_disk_size_bytes",
                      "Size of the disk where the bytes of messages lie; none of a bucket",
                      {{"of", "messages"}})
        ->Set(static_cast<double>(*place->size_bytes));
  }
}

}  // namespace posthorn::store_service
