#pragma once

#include "delivery-queue/service/life.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::delivery_queue {

// Keeps the gauges posthorn_queue_* up to date, for ever. On the loop: scrapes come on other
// threads.
net::Task<void> WatchMetrics(net::Loop& loop, CurrentLife life);

}  // namespace posthorn::delivery_queue
