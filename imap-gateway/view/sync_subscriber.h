#pragma once

#include <cstdint>

namespace posthorn::store::v1 {
class SyncReply;
class SyncRequest;
class ViewChunk;
class ViewDelta;
class AccountState;
}  // namespace posthorn::store::v1

namespace posthorn::imap_gateway {

// Something that is kept up to date by the Sync stream: SyncClient opens it, hands it its replies
// and opens it again whenever the stream was lost.
class SyncSubscriber {
 public:
  // What is to become of it after a reply.
  enum class Taken { kGoOn, kOpenAgain, kOver };
  virtual ~SyncSubscriber() = default;
  // The request that opens it as `view`, with what is still known.
  virtual void FillOpen(posthorn::store::v1::SyncRequest& request, uint64_t view) = 0;
  virtual Taken OnReply(const posthorn::store::v1::SyncReply& reply) = 0;
};

}  // namespace posthorn::imap_gateway
