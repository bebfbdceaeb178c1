#pragma once

// Who owns which lane, put together from what the replicas say. Pure: no I/O, any one thread.
// Invariants:
//  1. A place is never given to another replica.
//  2. A lane's owner is never replaced by an older one: of two words the higher epoch counts.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.h"

namespace posthorn::store::v1 {
class ClusterMap;
}

namespace posthorn::cluster {

// One store replica as its callers know it, for as long as they live; 0: none.
using Place = uint32_t;

class LaneMap {
 public:
  struct Replica {
    std::string name;
    std::string target;  // empty: where the word came from
    bool alive = false;
    bool draining = false;
  };
  // `caller` stands in for "{caller}" in addresses.
  explicit LaneMap(std::string caller) : caller_(std::move(caller)) {}

  // True when anything changed. kNothing of a malformed map is taken.
  bool Take(const posthorn::store::v1::ClusterMap& map);
  // False until a map was taken.
  bool known() const { return known_; }
  // 0: nobody, as far as is known.
  Place OwnerOf(base::AccountId account) const { return owners_[base::LaneOf(account)].place; }
  // replicas()[place - 1].
  const std::vector<Replica>& replicas() const { return replicas_; }
  // Places that answer what any replica can: alive ones, those that drain only if there is no
  // other.
  std::vector<Place> Able() const;

 private:
  struct Owner {
    Place place = 0;
    uint64_t epoch = 0;
  };
  Place PlaceOf(std::string_view name, const std::string& target);

  const std::string caller_;
  bool known_ = false;
  std::vector<Replica> replicas_;
  std::array<Owner, base::kLanes> owners_{};
};

}  // namespace posthorn::cluster
