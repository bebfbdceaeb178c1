#pragma once

#include <memory>

#include "imap-gateway/backend/store.h"

namespace posthorn::cluster {
class Stores;
}
namespace posthorn::net {
class Loop;
}

namespace posthorn::imap_gateway {

// The store service. `loop` and `client` outlive it.
std::unique_ptr<Store> NewRpcStore(net::Loop& loop, cluster::Stores& client);

}  // namespace posthorn::imap_gateway
