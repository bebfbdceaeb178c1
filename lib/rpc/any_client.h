#pragma once

#include <memory>
#include <vector>

#include "lib/rpc/client.h"

namespace posthorn::rpc {

// Several replicas of a process of which any will do: calls go to one of them until a call there
// ends as if it were away (kUnavailable, kDeadlineExceeded) or is given up; then to the next.
// Nothing is called twice: repeating is the caller's. The first is chosen at random, so that
// callers spread. `replicas` is not empty.
std::unique_ptr<Client> AnyOf(std::vector<std::unique_ptr<Client>> replicas);

}  // namespace posthorn::rpc
