#pragma once

// Digests of what was put in the last seconds, so that Deliver finds them without a read.

#include <deque>
#include <string>
#include <unordered_map>

#include "lib/net/loop.h"
#include "lib/observe/metrics.h"
#include "store-service/blob/blob_store.h"
#include "store-service/service/digest_source.h"

namespace posthorn::store_service {

class DigestCache final : public DigestSource {
 public:
  // `blobs` and `readers` outlive this. The oldest digests go when there are more bytes than
  // `budget`.
  DigestCache(BlobStore& blobs, net::BlockingPool& readers, size_t budget)
      : blobs_(blobs),
        readers_(readers),
        budget_(budget),
        memory_(observe::MemoryGauge("digests")) {}

  void Add(uint64_t blob_key, std::shared_ptr<const std::string> digest);
  std::shared_ptr<const std::string> Recent(uint64_t blob_key) const override;
  net::Task<absl::StatusOr<std::shared_ptr<const std::string>>> Get(uint64_t blob_key,
                                                                    uint64_t blob_size) override;

 private:
  BlobStore& blobs_;
  net::BlockingPool& readers_;
  const size_t budget_;
  size_t bytes_ = 0;
  observe::Gauge* const memory_;
  std::deque<uint64_t> order_;
  std::unordered_map<uint64_t, std::shared_ptr<const std::string>> digests_;
};

// What is kept beside a body: the digest, or nothing when it is too long for that.
std::string AuxOf(const std::string& digest);

}  // namespace posthorn::store_service
