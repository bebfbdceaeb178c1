#pragma once

// The one place that knows error numbers of MySQL, MariaDB and Galera. Codes, everywhere in this
// folder:
//   kAlreadyExists      a unique key was taken
//   kAborted            the whole transaction may simply be run again: deadlock, lock time-out,
//                       certification failure; IsRetry() tells it from a fence that failed
//   kUnavailable        the server is away, not ready (no quorum), read-only, or the link was lost:
//                       nothing of the transaction happened; connect again
//   kUnknown            the same during COMMIT: it may or may not have happened
//   kResourceExhausted  disk or table full
//   kPermissionDenied   user, password or grants
//   kFailedPrecondition any other constraint; the database does not exist
//   kInternal           the rest, wrong SQL too

#include <string_view>

#include "absl/status/status.h"

namespace posthorn::mysql {

// Never OK.
absl::Status ToStatus(int code, std::string_view message);
// The link is of no use any more: it is dead, or its server must not be used.
bool IsLinkLost(int code);
// Run the whole transaction again.
bool IsRetry(const absl::Status& status);

}  // namespace posthorn::mysql
