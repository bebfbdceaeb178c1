#include "store-service/service/digest_cache.h"

#include "lib/base/status_macros.h"
#include "lib/mime/digest.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kMostAux = 1 << 20;

// Blocks. Digests of another version, and those that were too long, are made again.
absl::StatusOr<std::shared_ptr<const std::string>> ReadOrMake(BlobStore& blobs, BlobRef ref) {
  absl::StatusOr<std::string> aux = blobs.ReadAux(ref);
  if (aux.ok() && mime::DigestView::Open(*aux))
    return std::make_shared<const std::string>(*std::move(aux));
  ASSIGN_OR_RETURN(const std::string body, blobs.Read(ref, 0, 0));
  return std::make_shared<const std::string>(mime::MakeDigest(body));
}

}  // namespace

std::string AuxOf(const std::string& digest) {
  return digest.size() <= kMostAux ? digest : std::string();
}

void DigestCache::Add(uint64_t blob_key, std::shared_ptr<const std::string> digest) {
  bytes_ += digest->size();
  digests_[blob_key] = std::move(digest);
  order_.push_back(blob_key);
  while (bytes_ > budget_ && order_.size() > 1) {
    const auto oldest = digests_.find(order_.front());
    order_.pop_front();
    if (oldest == digests_.end()) continue;
    bytes_ -= oldest->second->size();
    digests_.erase(oldest);
  }
  memory_->Set(static_cast<double>(bytes_));
}

std::shared_ptr<const std::string> DigestCache::Recent(uint64_t blob_key) const {
  const auto found = digests_.find(blob_key);
  return found == digests_.end() ? nullptr : found->second;
}

net::Task<absl::StatusOr<std::shared_ptr<const std::string>>> DigestCache::Get(uint64_t blob_key,
                                                                               uint64_t blob_size) {
  if (auto recent = Recent(blob_key)) co_return recent;
  co_return co_await readers_.Run(
      [blobs = &blobs_, ref = BlobRef{blob_key, blob_size}] { return ReadOrMake(*blobs, ref); });
}

}  // namespace posthorn::store_service
