#pragma once

#include <string>

#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::admin_service {

struct Health {
  bool alive = false;
  bool ready = false;
  std::string detail;  // what is missing, or why nobody answered
};
// Asks /readyz at "address:port" of another process's health port; at most a second.
net::Task<Health> ProbeHealth(net::Loop& loop, std::string address);

}  // namespace posthorn::admin_service
