#pragma once

// The journal kept by the store's database (proto/posthorn/store/v1/queue_journal.proto): it
// survives this node. What arrives while one batch is on its way is the next batch. Invariants
//  1. One batch is outstanding; it is repeated, the same, until it is known to be written or the
//     epoch is over.
//  2. Nothing is answered that is not written. What was not yet sent when the store goes away fails
//     at once.
//  3. When the epoch is over nothing more is written, and Over is told once.
// Everything on the loop.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "delivery-queue/journal/journal.h"

namespace posthorn::net {
class Loop;
}
namespace posthorn::rpc {
class Client;
}

namespace posthorn::delivery_queue {

struct StoreJournalOptions {
  std::string name;      // of this queue replica
  std::string instance;  // 16 random bytes of this process
  // An epoch of this process was lost before.
  bool reopened = false;
  std::string address;  // where this process is reached, for whoever wants its name
  std::chrono::milliseconds renew{2000};
  // Another process that has the name and was killed is waited for so long: a living one renews its
  // lease meanwhile.
  std::chrono::milliseconds watch{5000};
  // When the store was away it was so for the others too, and nobody could renew a lease: those
  // that live have so long to do it before they are taken for dead.
  std::chrono::milliseconds grace{10000};
  // The epoch is over: another replica has, or may have, what lies in this journal. Posted.
  std::function<void()> over;
};

// Waits for the store as long as that takes, and takes the lease. kAlreadyExists, in words: another
// process of this name is alive; it was not disturbed.
net::Task<absl::StatusOr<std::unique_ptr<Journal>>> OpenStoreJournal(net::Loop& loop,
                                                                     rpc::Client& store,
                                                                     StoreJournalOptions options);

}  // namespace posthorn::delivery_queue
