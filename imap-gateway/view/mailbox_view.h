#pragma once

// The gateway's copy of one mailbox, shared by all sessions that have it selected (deep-structures
// 7). Invariants:
//  1. Rows are in uid order; everything up to modseq() is in, nothing beyond.
//  2. Every change is in the log, in order, until all cursors have read it. The log never grows
//  beyond kMaxLog
//     entries: slow cursors are made to read it.
//  3. A view that was loaded keeps serving while its stream is lost: sessions notice only time.
// One net::Loop.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "imap-gateway/protocol/number_set.h"
#include "imap-gateway/view/columns.h"
#include "imap-gateway/view/sync_subscriber.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::imap_gateway {

class Cursor;

// Somebody who wants to hear of changes at once: an idling session.
class ViewListener {
 public:
  virtual ~ViewListener() = default;
  virtual void OnViewChanged() = 0;
};

class MailboxView : public SyncSubscriber {
 public:
  // kLoading until the first snapshot is whole; kGone states are final, sessions must leave.
  enum class State { kLoading, kReady, kDeleted, kDenied, kNotFound, kChanged };

  MailboxView(net::Loop& loop, uint64_t mailbox, std::string ticket);
  ~MailboxView() override;

  State state() const { return state_; }
  bool gone() const { return state_ != State::kReady && state_ != State::kLoading; }
  uint64_t mailbox() const { return mailbox_; }
  const MessageColumns& messages() const { return messages_; }
  const std::vector<std::string>& keyword_names() const { return keyword_names_; }
  uint64_t modseq() const { return modseq_; }
  uint32_t uid_validity() const { return uid_validity_; }
  uint32_t uid_next() const { return uid_next_; }
  // The newest ticket of a session on it: opening again needs one that has not expired.
  void set_ticket(std::string ticket) { ticket_ = std::move(ticket); }

  // Until it is loaded or gone: kDeadlineExceeded, kNotFound, kPermissionDenied, kAborted.
  net::Task<absl::Status> WaitReady(std::chrono::milliseconds limit);
  // As WaitReady, and until a view that the store closed for being behind has caught up: for who
  // has passed a barrier, which a closed view does not hold back.
  net::Task<absl::Status> WaitCurrent(std::chrono::milliseconds limit);
  // Until everything up to `modseq` is in.
  net::Task<absl::Status> WaitFor(uint64_t modseq, std::chrono::milliseconds limit);

  void AddListener(ViewListener* listener) { listeners_.push_back(listener); }
  void RemoveListener(ViewListener* listener) { std::erase(listeners_, listener); }

  // SyncSubscriber
  void FillOpen(posthorn::store::v1::SyncRequest& request, uint64_t view) override;
  Taken OnReply(const posthorn::store::v1::SyncReply& reply) override;

 private:
  friend class Cursor;
  static constexpr size_t kMaxLog = 1024;
  struct LogEntry {
    enum class Kind : uint8_t { kChanged, kExpunged };
    uint32_t first;
    uint32_t last;
    uint64_t operation;  // hash of the write's operation id; 0: not known
    Kind kind;
  };
  struct Loading;

  net::Task<absl::Status> WaitUntil(std::function<bool()> there, std::chrono::milliseconds limit);
  void OnChunk(const posthorn::store::v1::ViewChunk& chunk);
  void BeginLoading(const posthorn::store::v1::ViewChunk& chunk);
  void FinishLoading();
  void ApplyIncremental(Loading& loading);
  void ApplyFull(Loading& loading);
  void ApplyDelta(const posthorn::store::v1::ViewDelta& delta);
  void AppendRow(const MessageRow& row);
  void ChangeRow(const MessageRow& row, uint64_t operation);
  // Ranges may name uids that do not exist.
  void Expunge(const std::vector<NumberRange>& ranges);
  void ExpungeRows(const std::vector<size_t>& doomed);
  void Log(LogEntry::Kind kind, uint32_t uid, uint64_t operation);
  void TrimLog();
  void Close(State state);
  void Changed();
  uint64_t log_end() const { return log_begin_ + log_.size(); }

  uint64_t mailbox_;
  std::string ticket_;
  State state_ = State::kLoading;
  MessageColumns messages_;
  std::vector<std::string> keyword_names_;
  uint64_t modseq_ = 0;
  uint32_t uid_validity_ = 0;
  uint32_t uid_next_ = 1;
  std::unique_ptr<Loading> loading_;
  bool behind_ = false;  // closed by the store, to be opened again
  std::deque<LogEntry> log_;
  uint64_t log_begin_ = 0;
  std::vector<Cursor*> cursors_;
  std::vector<ViewListener*> listeners_;
  net::Signal changed_;
};

// The random end of an operation id as a number; 0 for one shorter than 8 bytes.
uint64_t OperationKey(std::string_view operation);

}  // namespace posthorn::imap_gateway
