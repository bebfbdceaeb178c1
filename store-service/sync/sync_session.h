#pragma once

// One Attach call: what one gateway has open here. Invariants:
//  1. A view's replies go out in order: snapshot chunks, then news above the snapshot's modseq.
//  2. News of any view goes before snapshot chunks of any other, each as far as its reader has
//  credit.
//  3. A barrier is answered when all that was committed before it has been sent on this call.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/rpc/server.h"
#include "posthorn/store/v1/sync.pb.h"
#include "store-service/sync/lost_changes.h"
#include "store-service/sync/sync_hub.h"
#include "store-service/sync/view.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

class SyncSession : public std::enable_shared_from_this<SyncSession> {
 public:
  explicit SyncSession(SyncHub& hub);
  // The handler of Attach: until the gateway goes.
  net::Task<absl::Status> Serve(rpc::ServerCall& call);

  // Called by the hub. A view that is too far behind is closed: AGAIN.
  void Push(const ViewPtr& view, View::News news);
  void Close(const ViewPtr& view, v1::ViewClosed::Reason reason);

 private:
  struct BarrierWait {
    uint64_t id = 0;
    ModSeq modseq = 0;
    std::vector<std::pair<ViewPtr, uint64_t>> views;  // each must have sent so many news
  };
  void Handle(const v1::SyncRequest& request);
  void OpenMailbox(const v1::OpenView& open);
  void OpenAccount(const v1::OpenAccount& open);
  ViewPtr AddView(uint64_t id, const std::string& ticket, MailboxId mailbox);
  void Drop(uint64_t id);
  net::Task<void> ReadMailbox(std::shared_ptr<SyncSession> self, ViewPtr view, v1::OpenView open);
  net::Task<void> ReadAccount(std::shared_ptr<SyncSession> self, ViewPtr view, ModSeq known);
  net::Task<void> AfterLoss(ViewPtr view, KnownState known);
  net::Task<void> Wait(std::shared_ptr<SyncSession> self, v1::Barrier barrier);
  void SnapshotRead(const ViewPtr& view, ModSeq modseq, std::deque<v1::SyncReply> snapshot);
  void List(const ViewPtr& view);
  net::Task<void> WriteReplies(std::shared_ptr<SyncSession> self, rpc::ServerCall* call);
  std::optional<v1::SyncReply> NextReply();
  std::optional<v1::SyncReply> NextNews();
  std::optional<v1::SyncReply> NextBarrier();
  std::optional<v1::SyncReply> NextChunk();

  SyncHub* hub_;
  net::Signal wake_;
  net::Promise<bool> writer_ended_;
  std::map<uint64_t, ViewPtr> views_;
  std::deque<v1::SyncReply> control_;
  std::deque<ViewPtr> with_news_;
  std::deque<ViewPtr> with_chunks_;
  std::deque<BarrierWait> barriers_;
  uint64_t epochs_ = 0;
  bool ended_ = false;
};

}  // namespace posthorn::store_service
