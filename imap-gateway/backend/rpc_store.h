#pragma once

#include <memory>

#include "imap-gateway/backend/store.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::imap_gateway {

// The store service. `loop` and `client` outlive it.
std::unique_ptr<Store> NewRpcStore(net::Loop& loop, rpc::Client& client);

}  // namespace posthorn::imap_gateway
