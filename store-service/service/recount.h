#pragma once

#include "lib/net/task.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

// Sets an account's counters to what its messages add up to; an operation of its lane like any
// other.
net::Task<absl::Status> RecountAccount(LaneEngine& lanes, base::AccountId account);

}  // namespace posthorn::store_service
