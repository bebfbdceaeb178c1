#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "tests/proof/ledger.h"
#include "tests/proof/machine.h"

namespace posthorn::proof {

// What the accounts hold now, every byte of it read. kInternal: something is damaged.
absl::StatusOr<std::map<base::AccountId, Mailboxes>> ReadMailboxes(
    Machine& machine, const std::set<base::AccountId>& accounts);

// Message `number` for one address, as smtp-gateway sends it; returns when it was accepted.
net::Task<absl::Status> Send(Machine& machine, std::string address, uint64_t number);

// Whatever nobody refers to now is gone afterwards, where a segment has enough of it. Nothing may
// be on its way.
net::Task<absl::Status> CollectAll(Machine& machine);

// Lets the queue come to rest, then looks at everything: mailboxes, bytes, counters, the queue, the
// directory. Empty when all that was promised is there, once, and nothing else; else the first
// thing that is wrong, in words. At last the machine must still do its work.
std::string WrongWith(Machine& machine, const Expected& expected);

}  // namespace posthorn::proof
