#include "imap-gateway/view/cursor.h"

#include <algorithm>
#include <utility>

namespace posthorn::imap_gateway {
namespace {

void SortUnique(std::vector<uint32_t>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

size_t CountBelow(const std::vector<uint32_t>& sorted, uint32_t number) {
  return static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), number) -
                             sorted.begin());
}

}  // namespace

Cursor::Cursor(std::shared_ptr<MailboxView> view)
    : view_(std::move(view)),
      position_(view_->log_end()),
      highest_told_(view_->messages().last_uid()) {
  view_->cursors_.push_back(this);
}

Cursor::~Cursor() { std::erase(view_->cursors_, this); }

void Cursor::CatchUp() {
  if (position_ == view_->log_end()) return;
  using Kind = MailboxView::LogEntry::Kind;
  std::vector<uint32_t> gone;
  for (; position_ < view_->log_end(); ++position_) {
    const MailboxView::LogEntry& entry = view_->log_[position_ - view_->log_begin_];
    // What was never told is never missed: its row, if it still stands, comes with EXISTS.
    const uint32_t last = std::min(entry.last, highest_told_);
    for (uint32_t uid = entry.first; uid <= last && uid != 0; ++uid) {
      if (entry.kind == Kind::kExpunged) {
        gone.push_back(uid);
      } else if (own_operation_ != 0 && entry.operation == own_operation_) {
        own_.push_back(uid);
      } else {
        changed_.push_back(uid);
      }
    }
  }
  if (changed_.size() > compact_at_) {
    SortUnique(changed_);
    compact_at_ = changed_.size() * 2 + 1024;
  }
  if (gone.empty()) return;
  ghosts_.insert(ghosts_.end(), gone.begin(), gone.end());
  SortUnique(ghosts_);
}

uint32_t Cursor::Count() {
  CatchUp();
  return static_cast<uint32_t>(RowsTold() + ghosts_.size());
}

bool Cursor::IsGhost(uint32_t uid) {
  CatchUp();
  return std::binary_search(ghosts_.begin(), ghosts_.end(), uid);
}

size_t Cursor::GhostsBelow(uint32_t uid) {
  CatchUp();
  return CountBelow(ghosts_, uid);
}

uint32_t Cursor::SequenceOf(uint32_t uid) {
  CatchUp();
  if (uid > highest_told_) return 0;
  if (!view_->messages().Find(uid) && !IsGhost(uid)) return 0;
  return static_cast<uint32_t>(view_->messages().LowerBound(uid) + CountBelow(ghosts_, uid) + 1);
}

uint32_t Cursor::UidAt(uint32_t sequence) {
  CatchUp();
  if (sequence == 0 || sequence > Count()) return 0;
  const MessageColumns& rows = view_->messages();
  // The number of ghosts that stand below or at this sequence number: their own numbers ascend.
  size_t low = 0;
  size_t high = ghosts_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const size_t number = rows.LowerBound(ghosts_[middle]) + middle + 1;
    if (number <= sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low > 0 && rows.LowerBound(ghosts_[low - 1]) + low == sequence) return ghosts_[low - 1];
  return rows.uid(sequence - 1 - low);
}

std::optional<NumberSet> Cursor::UidsOf(const NumberSet& sequences) {
  const uint32_t count = Count();
  std::vector<NumberRange> ranges;
  ranges.reserve(sequences.ranges().size());
  for (const NumberRange& range : sequences.ranges()) {
    if (range.last > count) return {};
    ranges.push_back({UidAt(range.first), UidAt(range.last)});
  }
  return NumberSet(std::move(ranges));
}

bool Cursor::AnyGhost(const NumberSet& uids) {
  CatchUp();
  for (const NumberRange& range : uids.ranges()) {
    const auto ghost = std::lower_bound(ghosts_.begin(), ghosts_.end(), range.first);
    if (ghost != ghosts_.end() && *ghost <= range.last) return true;
  }
  return false;
}

std::vector<uint32_t> Cursor::TakeExpunged() {
  CatchUp();
  std::vector<uint32_t> numbers;
  numbers.reserve(ghosts_.size());
  // From the end, so that none changes the number of those still to be sent.
  for (size_t i = ghosts_.size(); i-- > 0;)
    numbers.push_back(static_cast<uint32_t>(view_->messages().LowerBound(ghosts_[i]) + i + 1));
  ghosts_.clear();
  ghosts_.shrink_to_fit();
  return numbers;
}

std::optional<uint32_t> Cursor::TakeNew() {
  CatchUp();
  const uint32_t last = view_->messages().last_uid();
  if (last <= highest_told_) return {};
  highest_told_ = last;
  return Count();
}

std::vector<uint32_t> Cursor::TakeChanged() {
  CatchUp();
  std::vector<uint32_t> uids = std::move(changed_);
  changed_ = {};
  compact_at_ = 1024;
  SortUnique(uids);
  std::erase_if(uids, [this](uint32_t uid) { return !view_->messages().Find(uid); });
  return uids;
}

bool Cursor::HasNews() {
  CatchUp();
  return !ghosts_.empty() || !changed_.empty() || view_->messages().last_uid() > highest_told_;
}

std::vector<uint32_t> Cursor::TakeOwn() {
  CatchUp();
  own_operation_ = 0;
  std::vector<uint32_t> uids = std::move(own_);
  own_ = {};
  SortUnique(uids);
  return uids;
}

void Cursor::ForgetChanged(const std::vector<uint32_t>& sorted_uids) {
  std::erase_if(changed_, [&](uint32_t uid) {
    return std::binary_search(sorted_uids.begin(), sorted_uids.end(), uid);
  });
}

}  // namespace posthorn::imap_gateway
