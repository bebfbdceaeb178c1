#include "lib/cluster/lane_map.h"

#include "posthorn/store/v1/cluster.pb.h"

namespace posthorn::cluster {
namespace {

constexpr std::string_view kCaller = "{caller}";

}  // namespace

Place LaneMap::PlaceOf(std::string_view name, const std::string& target) {
  for (size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].name == name && replicas_[i].target == target)
      return static_cast<Place>(i + 1);
  }
  replicas_.push_back({.name = std::string(name), .target = target});
  return static_cast<Place>(replicas_.size());
}

bool LaneMap::Take(const posthorn::store::v1::ClusterMap& map) {
  if (map.lanes_size() != static_cast<int>(base::kLanes)) return false;
  std::vector<Replica> before = replicas_;
  for (Replica& replica : replicas_) replica.alive = false;
  std::vector<Place> places;
  for (const auto& word : map.replicas()) {
    std::string target = word.address();
    if (const size_t at = target.find(kCaller); at != std::string::npos)
      target.replace(at, kCaller.size(), caller_);
    const Place place = PlaceOf(word.name(), target);
    replicas_[place - 1].alive = true;
    replicas_[place - 1].draining = word.draining();
    places.push_back(place);
  }
  bool changed = !known_ || replicas_.size() != before.size();
  for (size_t i = 0; i < before.size() && !changed; ++i) {
    changed = replicas_[i].alive != before[i].alive || replicas_[i].draining != before[i].draining;
  }
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    const auto& lane = map.lanes(static_cast<int>(i));
    if (lane.epoch() < owners_[i].epoch) continue;
    const bool owned = lane.has_owner() && lane.owner() < places.size();
    const Owner owner{owned ? places[lane.owner()] : 0, lane.epoch()};
    changed = changed || owner.place != owners_[i].place;
    owners_[i] = owner;
  }
  known_ = true;
  return changed;
}

std::vector<Place> LaneMap::Able() const {
  std::vector<Place> able, draining;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    if (!replicas_[i].alive) continue;
    (replicas_[i].draining ? draining : able).push_back(static_cast<Place>(i + 1));
  }
  return able.empty() ? draining : able;
}

}  // namespace posthorn::cluster
