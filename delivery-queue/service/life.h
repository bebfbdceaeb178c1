#pragma once

// The queue from one opening of its journal on: everything that ends when the journal becomes
// another replica's. Who still has a call into it keeps it alive, stopped.

#include <functional>
#include <memory>
#include <string>

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/journal/journal.h"
#include "delivery-queue/local/local_delivery.h"
#include "delivery-queue/remote/smtp_delivery.h"

namespace posthorn::delivery_queue {

// A final dot is sent only with more than this left of the lease: time for the answer, and to note
// it.
inline constexpr std::chrono::milliseconds kLeaseForTheDot{60000};

struct Life {
  std::unique_ptr<Journal> journal;
  std::unique_ptr<SmtpDelivery> remote;
  std::unique_ptr<LocalDelivery> local;
  std::unique_ptr<MailQueue> queue;
  // While false new messages are refused, so that their senders ask another replica.
  bool taking = true;
  int arriving = 0;  // messages that are not answered yet

  // Before the first letter: `remote` asks the journal's lease.
  static void Bind(const std::shared_ptr<Life>& life) {
    life->remote->SetPermit([weak = std::weak_ptr<Life>(life)] {
      const std::shared_ptr<Life> self = weak.lock();
      return self != nullptr && self->journal->LeaseLeft() > kLeaseForTheDot;
    });
  }
  void Stop() {
    queue->Stop();
    remote->Stop();
    local->Stop();
  }
};

// The life that is going on; null between two.
using CurrentLife = std::function<std::shared_ptr<Life>()>;

}  // namespace posthorn::delivery_queue
