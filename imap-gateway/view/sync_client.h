#pragma once

// The one Sync stream to the store and the registry of views it feeds. Invariants:
//  1. A mailbox has at most one view here, however many sessions look at it.
//  2. A lost stream is opened again with backoff, and every view with what it still knows.
//  3. A view nobody used for `linger` is closed and dropped.
// One net::Loop.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "imap-gateway/view/account_view.h"
#include "imap-gateway/view/mailbox_view.h"
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
  // No new streams; the present one ends. Call before the last reference goes.
  void Stop();

  // The view of a mailbox or account, opened now if need be. Wait for it to be ready.
  std::shared_ptr<MailboxView> Mailbox(const std::string& ticket, uint64_t account,
                                       uint64_t mailbox);
  std::shared_ptr<AccountView> Account(const std::string& ticket, uint64_t account);
  // Everything committed before the call is in the account's views when it returns OK. Asked again
  // after a lost stream, until `limit`: kDeadlineExceeded. kPermissionDenied: the ticket is void.
  net::Task<absl::Status> Barrier(std::string ticket, std::chrono::milliseconds limit);

  bool connected() const { return stream_ != nullptr; }
  size_t views() const { return open_.size(); }
  // Asks made so far on the stream (opens, barriers, closes; not credits), for tests.
  uint64_t requests() const { return requests_; }

 private:
  struct Stream;
  struct OpenedView {
    std::weak_ptr<SyncSubscriber> subscriber;
    uint32_t credit = 0;  // replies the store may still send
    bool account = false;
  };
  template <class View>
  struct Kept {
    std::shared_ptr<View> view;
    std::chrono::steady_clock::time_point used;
  };
  struct Asked {
    std::string ticket;
    net::Promise<absl::Status> done;
  };

  SyncClient(net::Loop& loop, Store& store, Options options);
  net::Task<void> Run();
  net::Task<void> Sweep();
  static net::Task<void> Write(std::shared_ptr<SyncClient> self, std::shared_ptr<Stream> stream);
  net::Task<bool> Read(std::shared_ptr<Stream> stream);
  static net::Task<void> OpenAgain(std::shared_ptr<SyncClient> self, std::shared_ptr<Stream> stream,
                                   std::shared_ptr<SyncSubscriber> subscriber, bool account);
  void OnConnected(std::shared_ptr<Stream> stream);
  void OnLost();
  void Dispatch(const posthorn::store::v1::SyncReply& reply);
  void OnBarrier(const posthorn::store::v1::SyncReply& reply);
  void OpenNow(const std::shared_ptr<SyncSubscriber>& subscriber, bool account);
  void CloseNow(const SyncSubscriber* subscriber);
  void Send(posthorn::store::v1::SyncRequest request);
  void GrantCredit(uint64_t view, OpenedView& open);
  template <class Map>
  void DropUnused(Map& map, std::chrono::steady_clock::time_point now);

  net::Loop& loop_;
  Store& store_;
  Options options_;
  bool stopped_ = false;
  uint64_t last_id_ = 0;
  uint64_t requests_ = 0;
  std::shared_ptr<Stream> stream_;  // null while there is none
  std::unordered_map<uint64_t, OpenedView> open_;
  std::unordered_map<uint64_t, Asked> barriers_;
  std::map<std::pair<uint64_t, uint64_t>, Kept<MailboxView>> mailboxes_;
  std::unordered_map<uint64_t, Kept<AccountView>> accounts_;
  net::Signal stopping_;
};

}  // namespace posthorn::imap_gateway
