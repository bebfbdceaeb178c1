#pragma once

// The store as its callers see it, one replica or many: a client whose calls find the replica that
// they are for. Invariants:
//  1. A call that names an account, or shows a ticket of one, goes to the owner of its lane; one that a replica refused
//  because the lane is another's (nothing was done) is asked again of the owner, until its
//  deadline.
//  2. One that was never sent, because nobody is there, waits until nobody has been for `patience`.
//  3. Any other failure is the caller's: it may have happened. So is each of a stream (Start).
//  4. What waits for a replica that the others count as dead ends kUnavailable at once.
// One net::Loop.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/cluster/lane_map.h"
#include "lib/rpc/client.h"

namespace posthorn::net {
class Loop;
class Signal;
}  // namespace posthorn::net

namespace posthorn::cluster {

class Stores : public rpc::Client {
 public:
  struct Options {
    // Where replicas may be found at first: "unix:/path", "host:port", "dns:///name:port".
    std::vector<std::string> targets;
    std::string caller;  // our process's name
    // Makes the client of a target.
    std::function<std::unique_ptr<rpc::Client>(const std::string&)> connect;
    std::chrono::milliseconds patience = rpc::kRestart;
  };
  static std::unique_ptr<Stores> Create(net::Loop& loop, Options options);

  // The replica that owns the account's lane now; 0: nobody does, or it is not known (yet). Of a
  // store that knows no replicas: always 1.
  virtual Place PlaceOf(base::AccountId account) const = 0;
  // `place` is one that PlaceOf gave.
  virtual rpc::Client& At(Place place) = 0;
  // Notified after each change of the map.
  virtual net::Signal& changed() = 0;
  // One of the targets, or of the replicas, answers.
  bool connected() const override = 0;
};

}  // namespace posthorn::cluster
