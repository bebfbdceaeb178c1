#pragma once

// The gRPC face of the queue (posthorn.queue.v1.Queue).

#include <string>

#include "delivery-queue/core/mail_queue.h"

namespace posthorn::rpc {
class Server;
}

namespace posthorn::delivery_queue {

// Registers Enqueue (smtp-gateway, and whoever else accepts mail) and the operators' calls (admin-service).
void RegisterQueueService(rpc::Server& server, net::Loop& loop, MailQueue& queue, std::string journal_id);

}  // namespace posthorn::delivery_queue
