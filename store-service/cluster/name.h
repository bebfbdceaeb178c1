#pragma once

// A replica's name belongs to one process at a time: its rows say whose lanes are whose, so two of
// one name would take each other's lanes for ever.

#include <string>

#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "store-service/cluster/membership.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

// Puts this process's row where the name's is: at once when there is none, or when its process has
// long been silent; else after it was silent for `dead_ms`. kAlreadyExists, in words, as soon as
// the other process is seen to live. To be done before anything that the other would notice; the
// row says that this replica takes no lanes yet. Waits for a database that is away. Its questions
// block: nothing else uses `database` yet.
net::Task<absl::Status> ClaimName(net::Loop& loop, Database& database, MembershipOptions options);

// "the name "store-1" is in use by 10.0.0.1:7001 (started 2026-11-21 18:00:03 UTC)".
std::string NameInUse(const ReplicaRow& row);

}  // namespace posthorn::store_service
