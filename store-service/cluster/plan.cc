#include "store-service/cluster/plan.h"

#include <algorithm>
#include <map>

namespace posthorn::store_service {
namespace {

// How many lanes each replica may keep: of those with most the first ones keep one more, when the
// lanes cannot be shared out evenly.
std::map<std::string, size_t> Shares(const std::map<std::string, std::vector<uint32_t>>& owned,
                                     size_t lanes) {
  std::vector<std::string> order;
  for (const auto& [name, mine] : owned) order.push_back(name);
  std::ranges::stable_sort(order, [&](const std::string& a, const std::string& b) {
    return owned.at(a).size() > owned.at(b).size();
  });
  const size_t most = lanes % order.size();
  std::map<std::string, size_t> shares;
  for (size_t i = 0; i < order.size(); ++i)
    shares[order[i]] = lanes / order.size() + (i < most ? 1 : 0);
  return shares;
}

}  // namespace

Plan MakePlan(const ClusterRows& rows, const std::set<std::string>& able) {
  Plan plan;
  plan.owner.resize(rows.lanes.size());
  if (able.empty()) return plan;
  std::map<std::string, std::vector<uint32_t>> owned;
  for (const std::string& name : able) owned[name];
  std::vector<uint32_t> free;
  for (const LaneRow& lane : rows.lanes) {
    const auto owner = owned.find(lane.owner);
    (owner == owned.end() ? free : owner->second).push_back(lane.lane);
  }
  const std::map<std::string, size_t> shares = Shares(owned, rows.lanes.size());
  for (auto& [name, lanes] : owned) {
    const size_t kept = std::min(lanes.size(), shares.at(name));
    free.insert(free.end(), lanes.begin() + static_cast<ptrdiff_t>(kept), lanes.end());
    lanes.resize(kept);
  }
  std::ranges::sort(free);
  for (auto& [name, lanes] : owned) {
    while (lanes.size() < shares.at(name)) {
      lanes.push_back(free.front());
      free.erase(free.begin());
    }
    for (const uint32_t lane : lanes) plan.owner[lane] = name;
  }
  return plan;
}

std::vector<uint32_t> Plan::Takes(std::string_view name, const ClusterRows& rows) const {
  std::vector<uint32_t> takes;
  for (const LaneRow& lane : rows.lanes) {
    const bool free = lane.owner.empty() || lane.owner == name || lane.expires_ms <= rows.now_ms;
    if (owner[lane.lane] == name && free) takes.push_back(lane.lane);
  }
  return takes;
}

std::vector<uint32_t> Plan::Gives(std::string_view name, const ClusterRows& rows) const {
  std::vector<uint32_t> gives;
  for (const LaneRow& lane : rows.lanes) {
    if (lane.owner == name && owner[lane.lane] != name && !owner[lane.lane].empty())
      gives.push_back(lane.lane);
  }
  return gives;
}

}  // namespace posthorn::store_service
