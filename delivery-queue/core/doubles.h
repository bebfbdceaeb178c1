#pragma once

#include <cstdint>
#include <string_view>

namespace posthorn::delivery_queue {

// Recipients at other hosts that may get, or have got, a message twice. SMTP cannot tell [RFC1047]: the final dot was
// sent, and nobody knows whether it was heard. `cause`: "no_reply" (the connection broke behind the dot), "lease_lost"
// (this replica was paused), "interrupted" (an attempt may have been under way when a replica died).
void CountPossibleDoubles(std::string_view cause, uint64_t recipients);

}  // namespace posthorn::delivery_queue
