#pragma once

// The messages of one mailbox as columns in uid order: about 31 bytes a message, 8 or 16 more while
// any has keywords.

#include <cstdint>
#include <optional>
#include <vector>

#include "imap-gateway/protocol/dates.h"
#include "imap-gateway/protocol/flags.h"

namespace posthorn::imap_gateway {

// One message, for building and for tests.
struct MessageRow {
  uint32_t uid = 0;
  uint64_t modseq = 0;
  uint8_t flags = 0;
  KeywordBits keywords;
  DateTime internal_date;
  uint32_t size = 0;       // bytes; larger ones count as 4 GiB - 1
  uint32_t save_date = 0;  // seconds since 1970
};

class MessageColumns {
 public:
  size_t size() const { return uid_.size(); }
  bool empty() const { return uid_.empty(); }
  uint32_t uid(size_t i) const { return uid_[i]; }
  uint64_t modseq(size_t i) const { return modseq_[i]; }
  uint8_t flags(size_t i) const { return flags_[i]; }
  KeywordBits keywords(size_t i) const {
    return {low_.empty() ? 0 : low_[i], high_.empty() ? 0 : high_[i]};
  }
  DateTime internal_date(size_t i) const { return {date_[i], zone_[i]}; }
  uint32_t message_size(size_t i) const { return size_[i]; }
  uint32_t save_date(size_t i) const { return save_date_[i]; }
  uint32_t last_uid() const { return empty() ? 0 : uid_.back(); }

  // Index of the first row with a uid not below `uid`; size() when there is none.
  size_t LowerBound(uint32_t uid) const;
  // Number of rows with a uid not above `uid`.
  size_t CountUpTo(uint32_t uid) const;
  std::optional<size_t> Find(uint32_t uid) const;

  // `row.uid` must be above last_uid().
  void Append(const MessageRow& row);
  void SetFlags(size_t i, uint64_t modseq, uint8_t flags, KeywordBits keywords);
  // Takes out the rows whose index is in `doomed` (ascending); one pass.
  void Erase(const std::vector<size_t>& doomed);
  void Reserve(size_t rows);
  // Gives back what growing left unused.
  void Shrink();
  MessageRow Row(size_t i) const;
  // On the heap.
  size_t bytes() const;

 private:
  void Grow();

  std::vector<uint32_t> uid_;
  std::vector<uint64_t> modseq_;
  std::vector<uint8_t> flags_;
  std::vector<uint64_t> low_;   // keywords 0-63; empty while no message has one
  std::vector<uint64_t> high_;  // keywords 64-127
  std::vector<int64_t> date_;
  std::vector<int16_t> zone_;
  std::vector<uint32_t> size_;
  std::vector<uint32_t> save_date_;
};

}  // namespace posthorn::imap_gateway
