#pragma once

// The gRPC face of the queue (posthorn.queue.v1.Queue).

#include <string>

#include "delivery-queue/service/life.h"

namespace posthorn::rpc {
class Server;
}

namespace posthorn::delivery_queue {

// Registers Enqueue (smtp-gateway, and whoever else accepts mail) and the operators' calls (admin-service).
// `name` is this replica's.
void RegisterQueueService(rpc::Server& server, net::Loop& loop, CurrentLife life, std::string name);

}  // namespace posthorn::delivery_queue
