#pragma once

// Recipients as the sender named them → recipients as they are delivered: accounts, remote addresses, failures.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "posthorn/queue/v1/journal.pb.h"
#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::delivery_queue {

class Directory {
 public:
  virtual ~Directory() = default;
  virtual net::Task<absl::StatusOr<store::v1::ResolveReply>> Resolve(std::string address) = 0;
};

inline constexpr int kMaxAliasDepth = 25;
inline constexpr int kPage = 1000;  // recipients in one journal entry

// True when some recipient was not resolved by the gateway.
bool NeedsExpansion(const queue::v1::StoredEntry& stored);

// Resolves aliases and lists to the end, merges duplicates (the first original address wins), and splits into pages:
// element 0 has part 0, all have `expanded`. Unknown and disabled recipients come back as BOUNCING with a reply.
// An error (the directory is away) means: try again later; nothing was decided.
net::Task<absl::StatusOr<std::vector<queue::v1::StoredEntry>>> Expand(Directory& directory,
                                                                     queue::v1::StoredEntry stored);

}  // namespace posthorn::delivery_queue
