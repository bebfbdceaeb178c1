#pragma once

// grpc.health.v1 for one server. (/livez and /readyz are lib/observe's.)

#include <memory>

#include "lib/net/loop.h"
#include "lib/rpc/server.h"

namespace posthorn::rpc {

class Health {
 public:
  explicit Health(net::Loop& loop) : changed_(loop) {}
  // Registers Check and Watch. Known services: "" and those whose methods `server` has when it is
  // asked.
  static void Register(const std::shared_ptr<Health>& health, Server& server,
                       std::function<bool(std::string_view service)> known);
  // The loop's thread. Not serving until told otherwise.
  void Set(bool serving);
  bool serving() const { return serving_; }
  net::Signal& changed() { return changed_; }

 private:
  bool serving_ = false;
  net::Signal changed_;
};

}  // namespace posthorn::rpc
