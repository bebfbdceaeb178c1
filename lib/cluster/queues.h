#pragma once

// The delivery queue as its callers see it, one replica or many: any of them takes a message.
// Invariants:
//  1. Each call goes to one replica and is not repeated at another, for it may have happened; but
//     it is when that one says kNotTaken, or when it was never sent.
//  2. A replica whose connection is down, or that failed a moment ago, is passed over before
//     anything is sent, as long as there is another.
//  3. Where nobody takes it a call on a request stream waits, until nobody has taken any for
//     `patience`: a restart is not worth a refusal.
// One net::Loop.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/rpc/client.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::cluster {

// The whole message of kUnavailable from a replica that ends or has no journal: nothing was done,
// another may be asked.
inline constexpr std::string_view kNotTaken = "this queue takes no messages now";

class Queues : public rpc::Client {
 public:
  struct Options {
    // "unix:/path", "host:port"; "dns:///name:port" stands for each address that name has, looked
    // up again every now and then.
    std::vector<std::string> targets;
    // Makes the client of a target.
    std::function<std::unique_ptr<rpc::Client>(const std::string&)> connect;
    // The targets that a "dns:///…" stands for now; blocks. Empty: not known. Null: by the system.
    std::function<std::vector<std::string>(const std::string&)> look_up = {};
    // Invariant 3. A queue that ends takes nothing while its last transactions go on, ten seconds at
    // most.
    std::chrono::milliseconds patience = rpc::kRestart + std::chrono::milliseconds(5000);
  };
  static std::unique_ptr<Queues> Create(net::Loop& loop, Options options);

  struct Replica {
    std::string target;
    std::shared_ptr<rpc::Client> client;
  };
  // All that are known, for questions to each.
  virtual std::vector<Replica> All() = 0;
};

}  // namespace posthorn::cluster
