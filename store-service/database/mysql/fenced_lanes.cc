#include "store-service/database/mysql/fenced_lanes.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

// WHERE that finds just the lanes whose epoch holds. By the primary key: a scan would wait for rows
// that others hold.
std::string Guard(const Fence& fence) {
  std::string text = " WHERE lane IN (";
  for (const FencedLane& lane : fence) {
    base::StrAppend(text, &lane == &fence.front() ? "" : ",", lane.lane);
  }
  text += ") AND epoch=CASE lane";
  for (const FencedLane& lane : fence) {
    base::StrAppend(text, " WHEN ", lane.lane, " THEN ", lane.epoch);
  }
  text += " END";
  return text;
}

}  // namespace

std::string FenceText(const Fence& fence) {
  if (fence.empty()) return "UPDATE lane SET batch=0 WHERE lane=0 AND 1=0";
  if (fence.size() == 1) {
    const FencedLane& lane = fence.front();
    return base::StrCat("UPDATE lane SET batch=", lane.batch, " WHERE lane=", lane.lane,
                        " AND epoch=", lane.epoch);
  }
  std::string text = "UPDATE lane FORCE INDEX(PRIMARY) SET batch=CASE lane";
  for (const FencedLane& lane : fence) {
    base::StrAppend(text, " WHEN ", lane.lane, " THEN ", lane.batch);
  }
  base::StrAppend(text, " END", Guard(fence));
  return text;
}

std::string RenewText(const Fence& lanes, int64_t lease_ms) {
  return base::StrCat("UPDATE lane FORCE INDEX(PRIMARY) SET expires=", POSTHORN_MYSQL_NOW, "+",
                      lease_ms, Guard(lanes));
}

uint64_t LaneMask(const Fence& fence) {
  uint64_t mask = 0;
  for (const FencedLane& lane : fence) mask |= uint64_t{1} << lane.lane;
  return mask;
}

bool Holds(const Fence& fence, AccountId account) {
  return std::any_of(fence.begin(), fence.end(), [account](const FencedLane& lane) {
    return lane.lane == base::LaneOf(account);
  });
}

}  // namespace posthorn::store_service
