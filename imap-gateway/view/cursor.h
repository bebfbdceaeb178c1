#pragma once

// What one session has been told of a mailbox: a position in the view's log, ghosts, the highest
// uid told. Invariants:
//  1. Sequence number = rank among (rows + ghosts) up to the highest uid told ([RFC9051 2.3.1.2]);
//  it changes only
//     by TakeExpunged and TakeNew, so only when the client is told.
//  2. Every function reads the log first: the view may have moved since the last call, never during
//  one.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "imap-gateway/protocol/number_set.h"
#include "imap-gateway/view/mailbox_view.h"

namespace posthorn::imap_gateway {

class Cursor {
 public:
  // `view` is ready. Everything that is there counts as told.
  explicit Cursor(std::shared_ptr<MailboxView> view);
  ~Cursor();
  Cursor(const Cursor&) = delete;

  MailboxView& view() const { return *view_; }
  const std::shared_ptr<MailboxView>& shared_view() const { return view_; }

  // The number of messages the client knows of.
  uint32_t Count();
  // 0 for a uid the client was not told of.
  uint32_t SequenceOf(uint32_t uid);
  // The uid with this sequence number, 0 beyond the end.
  uint32_t UidAt(uint32_t sequence);
  bool IsGhost(uint32_t uid);
  // Highest uid told; also of a message that is gone meanwhile.
  uint32_t highest_told() const { return highest_told_; }
  // The uids that stand at these sequence numbers, as uid ranges (all between is told). Nothing
  // when a number is beyond the end.
  std::optional<NumberSet> UidsOf(const NumberSet& sequences);
  // Ghosts among these uids?
  bool AnyGhost(const NumberSet& uids);
  size_t GhostsBelow(uint32_t uid);

  // Untagged EXPUNGE numbers, in the order to be sent; they are told now.
  std::vector<uint32_t> TakeExpunged();
  // The new EXISTS, if there is news; told now.
  std::optional<uint32_t> TakeNew();
  // Uids whose flags changed since the client was told, ascending, present ones only; told now.
  std::vector<uint32_t> TakeChanged();
  bool HasNews();

  // [RFC9051 6.4.6] While a silent STORE of this session is under way: its own changes are not
  // news.
  void ExpectOwn(uint64_t operation) { own_operation_ = operation; }
  // Ends it; the uids that it changed.
  std::vector<uint32_t> TakeOwn();
  // The client has just been told the flags of these.
  void ForgetChanged(const std::vector<uint32_t>& sorted_uids);

  void CatchUp();
  uint64_t position() const { return position_; }

 private:
  size_t RowsTold() const { return view_->messages().CountUpTo(highest_told_); }
  void AddGhosts(uint32_t first, uint32_t last);

  std::shared_ptr<MailboxView> view_;
  uint64_t position_;
  uint64_t own_operation_ = 0;
  uint32_t highest_told_;
  std::vector<uint32_t> ghosts_;   // sorted
  std::vector<uint32_t> changed_;  // unsorted, may repeat
  size_t compact_at_ = 1024;
  std::vector<uint32_t> own_;
};

}  // namespace posthorn::imap_gateway
