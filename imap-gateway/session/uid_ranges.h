#pragma once

#include "imap-gateway/protocol/number_set.h"

namespace posthorn::imap_gateway {

// To and from the contracts' repeated UidRange.
template <class Repeated>
void PackRanges(const NumberSet& set, Repeated* into) {
  for (const NumberRange& range : set.ranges()) {
    auto* packed = into->Add();
    packed->set_first(range.first);
    packed->set_last(range.last);
  }
}
template <class Repeated>
NumberSet UnpackRanges(const Repeated& packed) {
  std::vector<NumberRange> ranges;
  for (const auto& range : packed)
    if (range.first() > 0 && range.first() <= range.last())
      ranges.push_back({range.first(), range.last()});
  return NumberSet(std::move(ranges));
}

}  // namespace posthorn::imap_gateway
