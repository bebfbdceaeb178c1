#pragma once

// Who should own which lane. Pure: every replica comes to the same plan from the same rows, so none
// has to be asked; leases decide where they differ for a moment. A lane stays where it is unless
// that would leave another replica with more than one lane too few.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store-service/database/rows.h"

namespace posthorn::store_service {

struct Plan {
  std::vector<std::string> owner;  // of each lane; empty: there is no replica
  // What replica `name` has to do: take what is free and meant for it, hand over what is meant for
  // another.
  std::vector<uint32_t> Takes(std::string_view name, const ClusterRows& rows) const;
  std::vector<uint32_t> Gives(std::string_view name, const ClusterRows& rows) const;
};

// `able`: replicas that may own lanes (alive, not draining).
Plan MakePlan(const ClusterRows& rows, const std::set<std::string>& able);

}  // namespace posthorn::store_service
