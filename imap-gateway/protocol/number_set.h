#pragma once

// Sets of uids or sequence numbers, as sorted ranges that neither touch nor overlap.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::imap_gateway {

struct NumberRange {
  uint32_t first = 0;
  uint32_t last = 0;
  friend bool operator==(const NumberRange&, const NumberRange&) = default;
};

class NumberSet {
 public:
  NumberSet() = default;
  // Any order, overlaps allowed; first <= last in each.
  explicit NumberSet(std::vector<NumberRange> ranges);

  const std::vector<NumberRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool Contains(uint32_t number) const;
  uint64_t Count() const;
  // Appends a number above all that are in.
  void Append(uint32_t number);
  // "1:3,5"; empty text for an empty set.
  std::string ToString() const;

 private:
  std::vector<NumberRange> ranges_;
};

// A parsed sequence-set with its "*" still open.
class SequenceSet {
 public:
  // sequence-set = (seq-number / seq-range) ["," sequence-set]. At most 10,000 ranges.
  static absl::StatusOr<SequenceSet> Parse(std::string_view text);
  // With "*" as `largest`; when that is 0 (nothing there) a set that names "*" loses those ranges.
  NumberSet Resolve(uint32_t largest) const;

 private:
  static constexpr uint32_t kStar = 0;
  std::vector<NumberRange> ranges_;
};

}  // namespace posthorn::imap_gateway
