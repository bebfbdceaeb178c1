#include "imap-gateway/view/columns.h"

#include <algorithm>

namespace posthorn::imap_gateway {
namespace {

template <class T>
void EraseFrom(std::vector<T>& column, const std::vector<size_t>& doomed) {
  if (column.empty()) return;
  size_t to = doomed.front();
  for (size_t i = 0; i < doomed.size(); ++i) {
    const size_t from = doomed[i] + 1;
    const size_t end = i + 1 < doomed.size() ? doomed[i + 1] : column.size();
    std::move(column.begin() + static_cast<ptrdiff_t>(from),
              column.begin() + static_cast<ptrdiff_t>(end),
              column.begin() + static_cast<ptrdiff_t>(to));
    to += end - from;
  }
  column.resize(to);
}

}  // namespace

size_t MessageColumns::LowerBound(uint32_t uid) const {
  return static_cast<size_t>(std::lower_bound(uid_.begin(), uid_.end(), uid) - uid_.begin());
}

size_t MessageColumns::CountUpTo(uint32_t uid) const {
  // Sessions mostly ask for the end of what they were told, which mostly is the end of the mailbox.
  if (empty() || uid >= uid_.back()) return uid_.size();
  return static_cast<size_t>(std::upper_bound(uid_.begin(), uid_.end(), uid) - uid_.begin());
}

std::optional<size_t> MessageColumns::Find(uint32_t uid) const {
  const size_t i = LowerBound(uid);
  if (i == size() || uid_[i] != uid) return {};
  return i;
}

void MessageColumns::Append(const MessageRow& row) {
  if (uid_.size() == uid_.capacity()) Grow();
  uid_.push_back(row.uid);
  modseq_.push_back(row.modseq);
  flags_.push_back(row.flags);
  if (row.keywords.low != 0 && low_.empty()) low_.resize(uid_.size() - 1);
  if (row.keywords.low != 0 || !low_.empty()) low_.push_back(row.keywords.low);
  if (row.keywords.high != 0 && high_.empty()) high_.resize(uid_.size() - 1);
  if (row.keywords.high != 0 || !high_.empty()) high_.push_back(row.keywords.high);
  date_.push_back(row.internal_date.seconds);
  zone_.push_back(static_cast<int16_t>(row.internal_date.zone_minutes));
  size_.push_back(row.size);
  save_date_.push_back(row.save_date);
}

void MessageColumns::SetFlags(size_t i, uint64_t modseq, uint8_t flags, KeywordBits keywords) {
  modseq_[i] = modseq;
  flags_[i] = flags;
  if (keywords.low != 0 && low_.empty()) low_.resize(size());
  if (!low_.empty()) low_[i] = keywords.low;
  if (keywords.high != 0 && high_.empty()) high_.resize(size());
  if (!high_.empty()) high_[i] = keywords.high;
}

void MessageColumns::Erase(const std::vector<size_t>& doomed) {
  if (doomed.empty()) return;
  EraseFrom(uid_, doomed);
  EraseFrom(modseq_, doomed);
  EraseFrom(flags_, doomed);
  EraseFrom(low_, doomed);
  EraseFrom(high_, doomed);
  EraseFrom(date_, doomed);
  EraseFrom(zone_, doomed);
  EraseFrom(size_, doomed);
  EraseFrom(save_date_, doomed);
}

void MessageColumns::Grow() { Reserve(size() + size() / 4 + 8); }

void MessageColumns::Reserve(size_t rows) {
  uid_.reserve(rows);
  modseq_.reserve(rows);
  flags_.reserve(rows);
  date_.reserve(rows);
  zone_.reserve(rows);
  size_.reserve(rows);
  save_date_.reserve(rows);
}

void MessageColumns::Shrink() {
  uid_.shrink_to_fit();
  modseq_.shrink_to_fit();
  flags_.shrink_to_fit();
  low_.shrink_to_fit();
  high_.shrink_to_fit();
  date_.shrink_to_fit();
  zone_.shrink_to_fit();
  size_.shrink_to_fit();
  save_date_.shrink_to_fit();
}

MessageRow MessageColumns::Row(size_t i) const {
  return {uid(i),           modseq(i),       flags(i),    keywords(i),
          internal_date(i), message_size(i), save_date(i)};
}

size_t MessageColumns::bytes() const {
  const auto of = [](const auto& column) { return column.capacity() * sizeof(column[0]); };
  return of(uid_) + of(modseq_) + of(flags_) + of(low_) + of(high_) + of(date_) + of(zone_) +
         of(size_) + of(save_date_);
}

}  // namespace posthorn::imap_gateway
