#pragma once

// The journal as files of one machine: append-only, one appender thread, group commit without a timer.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "delivery-queue/journal/journal.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::delivery_queue {

struct LocalJournalOptions {
  std::string directory;
  uint64_t file_bytes = 64U << 20;  // a new file begins after so many
};

// Reads what is there (blocking) and begins a new file. Anything an earlier run left behind its last commit mark was
// never answered and is ignored. Destroying it commits what was handed in.
absl::StatusOr<std::unique_ptr<Journal>> OpenLocalJournal(net::Loop& loop, file::FileSystem& files,
                                                          LocalJournalOptions options);

}  // namespace posthorn::delivery_queue
