#include "imap-gateway/protocol/number_set.h"

#include <algorithm>
#include <utility>

#include "imap-gateway/protocol/scanner.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kMaxRanges = 10000;

}  // namespace

NumberSet::NumberSet(std::vector<NumberRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const NumberRange& a, const NumberRange& b) { return a.first < b.first; });
  for (const NumberRange& range : ranges) {
    if (!ranges_.empty() &&
        (range.first <= ranges_.back().last || range.first - 1 == ranges_.back().last)) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

bool NumberSet::Contains(uint32_t number) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), number,
                                      [](uint32_t n, const NumberRange& r) { return n < r.first; });
  return after != ranges_.begin() && number <= std::prev(after)->last;
}

uint64_t NumberSet::Count() const {
  uint64_t count = 0;
  for (const NumberRange& range : ranges_) count += uint64_t{range.last} - range.first + 1;
  return count;
}

void NumberSet::Append(uint32_t number) {
  if (!ranges_.empty() && ranges_.back().last + 1 == number) {
    ranges_.back().last = number;
  } else {
    ranges_.push_back({number, number});
  }
}

std::string NumberSet::ToString() const {
  std::string out;
  for (const NumberRange& range : ranges_) {
    if (!out.empty()) out.push_back(',');
    base::StrAppend(out, range.first);
    if (range.last != range.first) base::StrAppend(out, ":", range.last);
  }
  return out;
}

absl::StatusOr<SequenceSet> SequenceSet::Parse(std::string_view text) {
  SequenceSet set;
  Scanner scan(text);
  const auto number = [&scan]() -> absl::StatusOr<uint32_t> {
    if (scan.Eat('*')) return kStar;
    return scan.NzNumber();
  };
  do {
    NumberRange range;
    ASSIGN_OR_RETURN(range.first, number());
    range.last = range.first;
    if (scan.Eat(':')) {
      ASSIGN_OR_RETURN(range.last, number());
    }
    if (set.ranges_.size() == kMaxRanges) return base::Invalid("too many ranges in one set");
    set.ranges_.push_back(range);
  } while (scan.Eat(','));
  RETURN_IF_ERROR(scan.End());
  return set;
}

NumberSet SequenceSet::Resolve(uint32_t largest) const {
  std::vector<NumberRange> out;
  out.reserve(ranges_.size());
  for (NumberRange range : ranges_) {
    if (largest == 0 && (range.first == kStar || range.last == kStar)) continue;
    if (range.first == kStar) range.first = largest;
    if (range.last == kStar) range.last = largest;
    // [RFC9051 9] "2:4" and "4:2" mean the same.
    if (range.first > range.last) std::swap(range.first, range.last);
    out.push_back(range);
  }
  return NumberSet(std::move(out));
}

}  // namespace posthorn::imap_gateway
