#pragma once

// The Sync streams to the store, one for each replica in use, and the registry of views they feed.
// Invariants:
//  1. A mailbox has at most one view here, however many sessions look at it.
//  2. A view is open at the owner of its account's lane, as soon as that is known. A lost stream is
//  opened again with backoff, and every view with what it still knows.
//  3. A view nobody used for `linger` is closed and dropped.
// One net::Loop.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "imap-gateway/view/account_view.h"
#include "imap-gateway/view/mailbox_view.h"
#include "lib/cluster/lane_map.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::imap_gateway {

class Store;

class SyncClient : public std::enable_shared_from_this<SyncClient> {
 public:
  struct Options {
    std::chrono::milliseconds linger{60000};
    std::chrono::milliseconds first_retry{50};
    std::chrono::milliseconds last_retry{2000};
  };
  // `loop` and `store` outlive it.
  static std::shared_ptr<SyncClient> Create(net::Loop& loop, Store& store, Options options);
  ~SyncClient();
  // No new streams; those there are end. Call before the last reference goes.
  void Stop();

  // The view of a mailbox or account, opened now if need be. Wait for it to be ready.
  std::shared_ptr<MailboxView> Mailbox(const std::string& ticket, uint64_t account,
                                       uint64_t mailbox);
  std::shared_ptr<AccountView> Account(const std::string& ticket, uint64_t account);
  // Everything committed before the call is in the account's views when it returns OK. Asked again
  // after a lost stream or by another owner, until `limit`: kDeadlineExceeded. kPermissionDenied:
  // the ticket is void.
  net::Task<absl::Status> Barrier(std::string ticket, uint64_t account,
                                  std::chrono::milliseconds limit);

  bool connected() const { return !streams_.empty(); }
  size_t views() const { return open_.size(); }
  // Asks made so far on the stream (opens, barriers, closes; not credits), for tests.
  uint64_t requests() const { return requests_; }

 private:
  struct Stream;
  enum class Kind { kMailbox, kAccount };
  struct OpenedView {
    std::weak_ptr<SyncSubscriber> subscriber;
    uint64_t account = 0;
    Kind kind = Kind::kMailbox;
    cluster::Place place = 0;
    uint32_t credit = 0;  // replies the store may still send
  };
  template <class View>
  struct Kept {
    std::shared_ptr<View> view;
    std::chrono::steady_clock::time_point used;
  };
  struct Asked {
    std::string ticket;
    uint64_t account = 0;
    cluster::Place place = 0;  // whom; 0: not asked yet
    net::Promise<absl::Status> done;
  };

  SyncClient(net::Loop& loop, Store& store, Options options);
  // Keeps every view at its account's owner.
  net::Task<void> Follow();
  void Settle();
  // One replica: its stream, opened again until nothing is there for it to do.
  void NeedStream(cluster::Place place);
  net::Task<void> Run(cluster::Place place);
  bool Needed(cluster::Place place) const;
  net::Task<void> Sweep();
  static net::Task<void> Write(std::shared_ptr<SyncClient> self, std::shared_ptr<Stream> stream);
  net::Task<bool> Read(std::shared_ptr<Stream> stream);
  static net::Task<void> OpenAgain(std::shared_ptr<SyncClient> self,
                                   std::shared_ptr<SyncSubscriber> subscriber, uint64_t account,
                                   Kind kind);
  static net::Task<void> AskAgain(std::shared_ptr<SyncClient> self, uint64_t barrier);
  void OnLost(cluster::Place place);
  void Dispatch(const posthorn::store::v1::SyncReply& reply);
  void OnBarrier(const posthorn::store::v1::SyncReply& reply);
  void OpenNow(const std::shared_ptr<SyncSubscriber>& subscriber, uint64_t account, Kind kind);
  // Opens it where it belongs, unless it is open there.
  void Bring(const std::shared_ptr<SyncSubscriber>& subscriber, uint64_t account, Kind kind);
  void CloseNow(const SyncSubscriber* subscriber);
  void Forget(uint64_t view);
  void Ask(uint64_t barrier, Asked& asked);
  void Send(cluster::Place place, posthorn::store::v1::SyncRequest request);
  void GrantCredit(uint64_t view, OpenedView& open);
  // What the views cost, for the metrics.
  void Measure() const;
  template <class Map>
  void DropUnused(Map& map, std::chrono::steady_clock::time_point now);

  net::Loop& loop_;
  Store& store_;
  Options options_;
  bool stopped_ = false;
  uint64_t last_id_ = 0;
  uint64_t requests_ = 0;
  std::unordered_set<cluster::Place> running_;
  std::unordered_map<cluster::Place, std::shared_ptr<Stream>> streams_;  // those that are open
  std::unordered_map<uint64_t, OpenedView> open_;
  std::unordered_map<const SyncSubscriber*, uint64_t> ids_;  // of what is in open_
  std::unordered_map<uint64_t, Asked> barriers_;
  std::map<std::pair<uint64_t, uint64_t>, Kept<MailboxView>> mailboxes_;
  std::unordered_map<uint64_t, Kept<AccountView>> accounts_;
  net::Signal stopping_;
};

}  // namespace posthorn::imap_gateway
