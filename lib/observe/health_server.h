#pragma once

// /livez, /readyz and /metrics on one port of each process. Own threads; outside every Loop, so it answers while
// a loop is busy. /livez fails when the loop did not turn for 30 s.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace posthorn::observe {

class HealthServer {
 public:
  // `address` "127.0.0.1:9101" or ":9101"; port 0: any. `ready` returns "" or what is missing, and is called on
  // the server's threads. kUnavailable when the port is taken.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(std::string address,
                                                             std::function<std::string()> ready,
                                                             std::function<bool()> alive);
  virtual ~HealthServer() = default;
  virtual uint16_t port() const = 0;
};

}  // namespace posthorn::observe
