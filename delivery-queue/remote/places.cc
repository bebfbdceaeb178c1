#include "delivery-queue/remote/places.h"

#include <vector>

#include "delivery-queue/remote/next_hop.h"

namespace posthorn::delivery_queue {

std::optional<Place> Places::Enter(const std::string& address, const HopPtr& hop) {
  Site& site = sites_[address];
  if (site.used < limit_) return Take(address);
  if (!std::exchange(hop->in_line, true)) site.line.push_back(hop);
  return {};
}

Place Places::Take(const std::string& address) {
  ++sites_[address].used;
  // Only the moment of its destruction counts; the pointer leads nowhere.
  return {address, std::shared_ptr<void>(nullptr, [places = weak_from_this(), address](void*) {
            if (const auto self = places.lock()) self->Leave(address);
          })};
}

void Places::Leave(const std::string& address) {
  const auto found = sites_.find(address);
  --found->second.used;
  CallNext(address);
}

void Places::CallNext(const std::string& address) {
  auto found = sites_.find(address);
  while (found != sites_.end() && found->second.used < limit_ && !found->second.line.empty()) {
    const HopPtr hop = std::move(found->second.line.front());
    found->second.line.pop_front();
    hop->in_line = false;
    // What it waited with may have been answered meanwhile.
    if (!hop->empty()) call_(hop, Take(address));
    found = sites_.find(address);
  }
  if (found != sites_.end() && found->second.used == 0 && found->second.line.empty())
    sites_.erase(found);
}

void Places::SetLimit(size_t limit) {
  limit_ = limit;
  std::vector<std::string> addresses;
  for (const auto& [address, site] : sites_) addresses.push_back(address);
  for (const std::string& address : addresses) CallNext(address);
}

bool Places::Crowded(const std::string& address) const {
  const auto found = sites_.find(address);
  return found != sites_.end() && !found->second.line.empty();
}

}  // namespace posthorn::delivery_queue
