#pragma once

// What the queue core asks of whoever speaks SMTP to other hosts, and of whoever writes bounces. Interfaces only.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::queue::v1 {
class Entry;
class StoredEntry;
}  // namespace posthorn::queue::v1

namespace posthorn::delivery_queue {

// The outcome of one attempt for one recipient.
struct RemoteOutcome {
  enum class Kind { kSent, kDeferred, kFailed };
  Kind kind = Kind::kDeferred;
  // The remote's reply ("550 5.1.1 no such user") or what went wrong here, for operators and the DSN.
  std::string reply;
  // [RFC3463] "5.1.1"; "4.4.1" when nobody answered.
  std::string status;
  // The host that was spoken with; empty: none.
  std::string host;
  // `reply` is what it said; otherwise our own words.
  bool replied = false;
};

// One message for the recipients of one domain.
struct RemoteJob {
  std::shared_ptr<const queue::v1::StoredEntry> entry;
  // Indexes into entry.entry().recipients(), all of `domain`.
  std::vector<int> recipients;
  std::string domain;  // normal form; "[192.0.2.1]" for literals
  // Once for each index, on the loop.
  std::function<void(int recipient, RemoteOutcome outcome)> done;
  std::string traceparent;  // of the attempt; empty: its trace is not sampled
};

class RemoteDelivery {
 public:
  virtual ~RemoteDelivery() = default;
  // Groups by next hop, connects, sends. Never blocks; every recipient gets an outcome sooner or later.
  virtual void Submit(RemoteJob job) = 0;
};

// What the sender of `entry` is to be told.
struct ReportRequest {
  enum class Action { kFailed, kDelayed };  // [RFC3464 2.3.3]
  std::shared_ptr<const queue::v1::StoredEntry> entry;
  Action action = Action::kFailed;
  std::vector<int> recipients;  // indexes
  int64_t retry_until_ms = 0;   // of delayed ones
};

class ReportWriter {
 public:
  virtual ~ReportWriter() = default;
  // A DSN [RFC3464]: its bytes are stored already, the returned entry is ready to be journalled. Its message id is
  // derived from the parent's, so a repeat makes the same entry. Nothing when the sender does not want to know
  // (NOTIFY). An error means: try again later. Never called for entries with the null sender.
  virtual net::Task<absl::StatusOr<std::optional<queue::v1::Entry>>> Write(ReportRequest request) = 0;
};

}  // namespace posthorn::delivery_queue
