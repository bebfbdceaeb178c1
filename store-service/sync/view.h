#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "posthorn/store/v1/sync.pb.h"
#include "store-service/lane/delta.h"

namespace posthorn::store_service {

class SyncSession;

// One open view of one gateway: of a mailbox, or (mailbox 0) of an account's mailbox table. News
// gathers here until the reader has credit; what the snapshot already holds is left out.
struct View {
  // What a reader may be sent before it grants more.
  static constexpr uint32_t kFirstCredit = 16;
  // Further behind than this it is cheaper to open again.
  static constexpr size_t kMaxQueued = 2000;
  static constexpr size_t kMaxQueuedRows = 20000;

  uint64_t id = 0;
  uint64_t epoch = 0;
  AccountId account = 0;
  MailboxId mailbox = 0;
  std::weak_ptr<SyncSession> session;
  enum class Phase { kReading, kSending, kLive, kClosed } phase = Phase::kReading;
  ModSeq snapshot_modseq = 0;
  uint64_t credit = kFirstCredit;

  std::deque<::posthorn::store::v1::SyncReply> snapshot;  // not sent yet
  struct News {
    DeltaPtr delta;  // or, for an account's view:
    std::shared_ptr<::posthorn::store::v1::AccountState> state;
    std::vector<SubscriptionRow> subscriptions;  // changes, of an account
    int64_t committed_ms = 0;                    // of a delta
    ModSeq modseq() const { return delta ? delta->modseq : state->modseq(); }
    size_t rows() const {
      return delta ? delta->added.size() + delta->changed.size() + delta->expunged.size() : 1;
    }
  };
  std::deque<News> news;
  size_t queued_rows = 0;
  uint64_t pushed = 0;  // news ever queued
  uint64_t sent = 0;    // news ever sent or left out
  bool listed = false;  // in the session's list of views with something to send
  // Account views: the list as told.
  std::set<std::string> subscriptions;

  bool live() const { return phase == Phase::kLive; }
  bool has_news() const { return live() && !news.empty(); }
};

using ViewPtr = std::shared_ptr<View>;

}  // namespace posthorn::store_service
