#include "store-service/service/blobs_service.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/net/loop.h"
#include "lib/observe/metrics.h"
#include "store-service/service/put_facts.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kMostGathered = size_t{256} << 20;  // of all calls together
constexpr uint64_t kMostMessage = (uint64_t{1} << 30) + (1 << 20);
constexpr size_t kUploadStep = 1 << 20;
constexpr size_t kReadStep = 256 * 1024;
constexpr size_t kChunk = 64 * 1024;

void SetBlob(v1::PutReply& reply, const BlobRef& ref) {
  reply.mutable_blob()->set_key(ref.key);
  reply.mutable_blob()->set_size(ref.size);
}

// Blocks.
absl::StatusOr<v1::PutReply> FinishUpload(Upload& upload) {
  v1::PutReply reply;
  std::string digest;
  {
    ASSIGN_OR_RETURN(const std::string_view message, upload.Written());
    FillPutFacts(message, reply);
    digest = mime::MakeDigest(message);
  }
  ASSIGN_OR_RETURN(const BlobRef ref, upload.Finish(AuxOf(digest)));
  SetBlob(reply, ref);
  return reply;
}

net::Task<absl::Status> WriteChunks(rpc::ServerCall& call, std::string bytes) {
  for (size_t at = 0; at < bytes.size(); at += kChunk) {
    v1::ReadBlobReply reply;
    reply.set_chunk(bytes.size() <= kChunk ? std::move(bytes) : bytes.substr(at, kChunk));
    CO_RETURN_IF_ERROR(co_await call.Write(reply));
  }
  co_return absl::OkStatus();
}

}  // namespace

struct BlobsService::Metrics {
  observe::Counter* messages = observe::NewCounter("posthorn_store_put_messages_total",
                                                   "Messages made durable by Blobs.Put");
  observe::Counter* bytes = observe::NewCounter("posthorn_store_put_bytes_total", "Their bytes");
  observe::Counter* refused =
      observe::NewCounter("posthorn_store_put_failures_total", "Blobs.Put that did not end well");
  observe::Histogram* seconds = observe::NewHistogram(
      "posthorn_store_put_seconds", "From the last byte to durable, small messages");
  observe::Gauge* gathered = observe::MemoryGauge("incoming_messages");
  static const Metrics& Get() {
    static const Metrics metrics;
    return metrics;
  }
};

// Bytes of one call that are counted against kMostGathered.
class BlobsService::Gathered {
 public:
  explicit Gathered(size_t& total) : total_(total) {}
  ~Gathered() {
    total_ -= mine_;
    Metrics::Get().gathered->Set(static_cast<double>(total_));
  }
  Gathered(const Gathered&) = delete;
  bool Add(size_t bytes) {
    mine_ += bytes;
    total_ += bytes;
    Metrics::Get().gathered->Set(static_cast<double>(total_));
    return total_ <= kMostGathered;
  }

 private:
  size_t& total_;
  size_t mine_ = 0;
};

BlobsService::BlobsService(net::Loop& loop, BlobStore& blobs, DigestCache& digests,
                           net::BlockingPool& files)
    : loop_(loop), blobs_(blobs), digests_(digests), files_(files), metrics_(Metrics::Get()) {}

void BlobsService::Register(rpc::Server& server) {
  server.HandleStream(rpc::store::kBlobsPut, {kSmtp, kImap, kPop3, kQueue, kAdmin},
                      [this](rpc::ServerCall& call) { return Put(call); },
                      rpc::Server::Lasts::kAMoment);
  server.HandleStream(rpc::store::kBlobsRead, Everybody(),
                      [this](rpc::ServerCall& call) { return Read(call); });
}

net::Task<absl::Status> BlobsService::Put(rpc::ServerCall& call) {
  Gathered gathered(gathered_);
  v1::PutRequest request;
  std::string body;
  bool large = false;
  for (;;) {
    CO_ASSIGN_OR_RETURN(const bool more, co_await call.Read(request));
    if (!more) break;
    if (!gathered.Add(request.chunk().size()))
      co_return base::Unavailable("too much mail is arriving at once");
    if (body.empty()) {
      body = std::move(*request.mutable_chunk());
    } else {
      body.append(request.chunk());
    }
    large = body.size() > kSmallBlob;
    if (large) break;
  }
  absl::StatusOr<v1::PutReply> reply =
      large ? co_await PutLarge(call, std::move(body)) : co_await PutSmall(std::move(body));
  if (!reply.ok()) {
    metrics_.refused->Add();
    co_return reply.status();
  }
  metrics_.messages->Add();
  metrics_.bytes->Add(static_cast<double>(reply->blob().size()));
  co_return co_await call.Write(*reply);
}

net::Task<absl::StatusOr<v1::PutReply>> BlobsService::PutSmall(std::string body) {
  const int64_t begin = base::MonotonicMicros();
  v1::PutReply reply;
  FillPutFacts(body, reply);
  auto digest = std::make_shared<const std::string>(mime::MakeDigest(body));
  net::Promise<absl::StatusOr<BlobRef>> stored(loop_);
  // Answered on the loop: the blob store delivers a commit's answers there in one go.
  blobs_.Append(std::move(body), AuxOf(*digest),
                [stored](absl::StatusOr<BlobRef> ref) mutable { stored.Set(std::move(ref)); });
  CO_ASSIGN_OR_RETURN(const BlobRef ref, co_await stored.Get());
  digests_.Add(ref.key, std::move(digest));
  SetBlob(reply, ref);
  metrics_.seconds->Observe(static_cast<double>(base::MonotonicMicros() - begin) / 1e6);
  co_return reply;
}

net::Task<absl::StatusOr<v1::PutReply>> BlobsService::PutLarge(rpc::ServerCall& call,
                                                               std::string first) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<Upload> made,
                      co_await files_.Run([this] { return blobs_.BeginUpload(); }));
  const std::shared_ptr<Upload> upload = std::move(made);
  CO_RETURN_IF_ERROR(co_await PumpUpload(call, upload, std::move(first)));
  co_return co_await files_.Run([upload] { return FinishUpload(*upload); });
}

net::Task<absl::Status> BlobsService::PumpUpload(rpc::ServerCall& call,
                                                 std::shared_ptr<Upload> upload,
                                                 std::string first) {
  std::string step = std::move(first);
  uint64_t total = step.size();
  v1::PutRequest request;
  for (bool more = true; more;) {
    CO_ASSIGN_OR_RETURN(more, co_await call.Read(request));
    if (more) {
      total += request.chunk().size();
      step.append(request.chunk());
    }
    if (total > kMostMessage)
      co_return base::Error(absl::StatusCode::kOutOfRange, "the message is too large");
    if (step.empty() || (more && step.size() < kUploadStep)) continue;
    CO_RETURN_IF_ERROR(
        co_await files_.Run([upload, bytes = std::move(step)] { return upload->Write(bytes); }));
    step.clear();
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> BlobsService::Read(rpc::ServerCall& call) {
  v1::ReadBlobRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  const BlobRef ref{request.blob().key(), request.blob().size()};
  if (request.offset() > ref.size) co_return base::Invalid("the range begins behind the message");
  const uint64_t rest = ref.size - request.offset();
  const uint64_t length = request.length() == 0 ? rest : std::min(rest, request.length());
  if (length == ref.size && length > kReadStep) co_return co_await ReadWhole(call, ref);
  co_return co_await ReadRange(call, ref, request.offset(), length);
}

// The reader checks the whole on the way, so that damage ends the call before its last chunk.
net::Task<absl::Status> BlobsService::ReadWhole(rpc::ServerCall& call, BlobRef ref) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> made,
                      co_await files_.Run([this, ref] { return blobs_.OpenReader(ref); }));
  const std::shared_ptr<BlobReader> reader = std::move(made);
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::string bytes,
                        co_await files_.Run([reader] { return reader->Next(kReadStep); }));
    if (bytes.empty()) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await WriteChunks(call, std::move(bytes)));
  }
}

net::Task<absl::Status> BlobsService::ReadRange(rpc::ServerCall& call, BlobRef ref, uint64_t offset,
                                                uint64_t length) {
  const uint64_t end = offset + length;
  do {
    const uint64_t step = std::min<uint64_t>(end - offset, kReadStep);
    if (step == 0) co_return absl::OkStatus();
    CO_ASSIGN_OR_RETURN(std::string bytes, co_await files_.Run([this, ref, offset, step] {
      return blobs_.Read(ref, offset, step);
    }));
    offset += step;
    CO_RETURN_IF_ERROR(co_await WriteChunks(call, std::move(bytes)));
  } while (offset < end);
  co_return absl::OkStatus();
}

}  // namespace posthorn::store_service
