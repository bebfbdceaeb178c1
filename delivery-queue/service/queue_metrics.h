#pragma once

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/remote/smtp_delivery.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::delivery_queue {

// Keeps the gauges posthorn_queue_* up to date, for ever. On the loop: scrapes come on other
// threads.
net::Task<void> WatchMetrics(net::Loop& loop, const MailQueue& queue, const LocalDelivery& local,
                             const SmtpDelivery& remote, const Journal& journal);

}  // namespace posthorn::delivery_queue
