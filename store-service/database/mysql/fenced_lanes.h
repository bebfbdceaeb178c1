#pragma once

// SQL about the lanes of a fence.

#include <cstdint>
#include <string>

#include "store-service/database/database.h"

// Milliseconds since 1970 by the database's clock; leases must not depend on the stores'. Good
// beyond 2038, unlike UNIX_TIMESTAMP.
#define POSTHORN_MYSQL_NOW \
  "(TIMESTAMPDIFF(MICROSECOND,'1970-01-01 00:00:00',UTC_TIMESTAMP(3)) DIV 1000)"
// True for rows whose account is in one of the lanes of the bound LaneMask().
#define POSTHORN_MYSQL_OF_LANES "((? >> (account % 32)) & 1)=1"

namespace posthorn::store_service {

static_assert(base::kLanes == 32, "the masks in SQL know that number");

// `batch` becomes each lane's batch where the epoch still holds; as many rows must be found as
// there are lanes.
std::string FenceText(const Fence& fence);
std::string RenewText(const Fence& lanes, int64_t lease_ms);
uint64_t LaneMask(const Fence& fence);
bool Holds(const Fence& fence, AccountId account);

}  // namespace posthorn::store_service
