#pragma once

#include <atomic>
#include <memory>

#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/blob/blob_store.h"
#include "store-service/service/digest_cache.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::store_service {

// posthorn.store.v1.Blobs. Small messages are gathered in memory and share a group commit; large
// ones go through to the disk while they arrive. What is gathered at one time is bounded: more is
// answered kUnavailable.
class BlobsService {
 public:
  // All outlive this and the server's handlers. Large uploads and reads block threads of `files`.
  BlobsService(net::Loop& loop, BlobStore& blobs, DigestCache& digests, net::BlockingPool& files);
  void Register(rpc::Server& server);

 private:
  class Gathered;
  struct Metrics;
  net::Task<absl::Status> Put(rpc::ServerCall& call);
  net::Task<absl::StatusOr<store::v1::PutReply>> PutSmall(std::string body);
  net::Task<absl::StatusOr<store::v1::PutReply>> PutLarge(rpc::ServerCall& call, std::string first);
  net::Task<absl::Status> PumpUpload(rpc::ServerCall& call, std::shared_ptr<Upload> upload,
                                     std::string first);
  net::Task<absl::Status> Read(rpc::ServerCall& call);
  net::Task<absl::Status> ReadWhole(rpc::ServerCall& call, BlobRef ref);
  net::Task<absl::Status> ReadRange(rpc::ServerCall& call, BlobRef ref, uint64_t offset,
                                    uint64_t length);

  net::Loop& loop_;
  BlobStore& blobs_;
  DigestCache& digests_;
  net::BlockingPool& files_;
  const Metrics& metrics_;
  size_t gathered_ = 0;
};

}  // namespace posthorn::store_service
