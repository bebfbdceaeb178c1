#pragma once

// Remote delivery by SMTP. Letters with the same next hop share its connections.
// Invariants
//  1. Every recipient of every job gets exactly one outcome, unless the process stops first: then
//  the journal still
//     has it.
//  2. A next hop has at most `limit` connections: 5 at first, one more after as many good messages
//  as it has
//     connections, up to 20, half of them after one was lost.
//  3. A next hop that cannot be reached is left alone for a while (1 s, doubling up to 5 min); its
//  mail is deferred
//     at once with 4.4.1.
// Everything on the loop.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/remote/body.h"
#include "delivery-queue/remote/client_tls.h"
#include "delivery-queue/remote/route.h"
#include "delivery-queue/remote/timeouts.h"

namespace posthorn::dns {
class Resolver;
}
namespace posthorn::net {
class Loop;
}

namespace posthorn::delivery_queue {

struct RemoteSettings {
  std::string hostname;  // in EHLO
  uint16_t port = 25;
  size_t max_connections = 20;  // to one next hop, and to one address
  std::vector<Route> routes;
  Patience patience;
};

class SmtpDelivery : public RemoteDelivery {
 public:
  SmtpDelivery(net::Loop& loop, dns::Resolver& resolver, Bodies& bodies, ClientTls tls);
  ~SmtpDelivery() override;

  // For connections made from now on.
  void Configure(RemoteSettings settings);
  void Submit(RemoteJob job) override;
  // Asked before a transaction begins, and right before each final dot: false while another replica might soon have
  // what we send. Without it: always.
  void SetPermit(std::function<bool()> may_end);
  // Nothing new begins; what is under way may end.
  void Stop();
  // Lets transactions that are under way end, at most for `limit`; nothing new begins.
  net::Task<void> Finish(std::chrono::milliseconds limit);
  size_t connections() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace posthorn::delivery_queue
