#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <algorithm>
#include <vector>

#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

using UidRanges = google::protobuf::RepeatedPtrField<::posthorn::store::v1::UidRange>;

// Ascending, without overlaps; ranges given backwards are turned round.
inline std::vector<UidSpan> ToSpans(const UidRanges& ranges) {
  std::vector<UidSpan> spans;
  for (const auto& range : ranges) {
    spans.push_back({std::min(range.first(), range.last()), std::max(range.first(), range.last())});
  }
  std::sort(spans.begin(), spans.end(),
            [](const UidSpan& a, const UidSpan& b) { return a.first < b.first; });
  std::vector<UidSpan> merged;
  for (const UidSpan& span : spans) {
    if (!merged.empty() && span.first <= merged.back().last) {
      merged.back().last = std::max(merged.back().last, span.last);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

inline void FromSpans(const std::vector<UidSpan>& spans, UidRanges* ranges) {
  for (const UidSpan& span : spans) {
    auto* range = ranges->Add();
    range->set_first(span.first);
    range->set_last(span.last);
  }
}

inline bool Contains(const std::vector<UidSpan>& spans, Uid uid) {
  const auto above = std::upper_bound(spans.begin(), spans.end(), uid,
                                      [](Uid u, const UidSpan& span) { return u < span.first; });
  return above != spans.begin() && std::prev(above)->last >= uid;
}

// Calls `visit` for each row whose uid lies in `spans`, in order.
template <class Rows, class F>
void ForEachIn(Rows& columns, const std::vector<UidSpan>& spans, F visit) {
  for (const UidSpan& span : spans) {
    auto row = std::lower_bound(columns.begin(), columns.end(), span.first,
                                [](const MessageColumns& c, Uid uid) { return c.uid < uid; });
    for (; row != columns.end() && row->uid <= span.last; ++row) visit(*row);
  }
}

}  // namespace posthorn::store_service
