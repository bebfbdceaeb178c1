#pragma once

#include <string>

#include "tests/proof/ledger.h"
#include "tests/proof/machine.h"

namespace posthorn::proof {

// Lets the queue come to rest, then looks at everything: mailboxes, bytes, counters, the queue, the
// directory. Empty when all that was promised is there, once, and nothing else; else the first
// thing that is wrong, in words. At last the machine must still do its work.
std::string WrongWith(Machine& machine, const Expected& expected);

}  // namespace posthorn::proof
