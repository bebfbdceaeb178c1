#pragma once

// What remote delivery counts. Destinations are told apart by how they are found only: their names
// have no end.

#include "delivery-queue/core/remote_delivery.h"
#include "lib/mail/smtp_reply.h"

namespace posthorn::delivery_queue {

enum class Destination { kMailExchanger, kRoute };
enum class Encryption { kNone, kTls };

class RemoteMetrics {
 public:
  // Made on the first call.
  static const RemoteMetrics& Get();

  // An attempt to reach a next hop. `failure` null: a session is ready.
  void CountConnection(Destination destination, const RemoteOutcome* failure) const;
  // The reply that decided about one recipient; code 0: the session broke off before it.
  void CountReply(Destination destination, Encryption encryption, const mail::Reply& reply) const;
  void CountRecipient(RemoteOutcome::Kind kind) const;

 private:
  RemoteMetrics();
  struct Counters;
  const Counters* counters_;
};

}  // namespace posthorn::delivery_queue
