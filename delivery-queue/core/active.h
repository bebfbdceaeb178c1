#pragma once

#include <memory>
#include <string>

#include "delivery-queue/core/mail_queue.h"
#include "lib/rpc/span.h"

namespace posthorn::delivery_queue {

// Bytes that something adds to a total as long as it lives.
class Weight {
 public:
  Weight() = default;
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;
  ~Weight() {
    if (total_) *total_ -= bytes_;
  }
  void Set(const std::shared_ptr<uint64_t>& total, uint64_t bytes) {
    total_ = total;
    *total_ += bytes - bytes_;
    bytes_ = bytes;
  }

 private:
  std::shared_ptr<uint64_t> total_;
  uint64_t bytes_ = 0;
};

// Recipients that are not finished.
uint32_t OpenRecipients(const queue::v1::StoredEntry& stored);
// One state for each recipient.
void FillStates(queue::v1::StoredEntry& stored);

// An entry that is being worked on.
struct MailQueue::Active {
  EntryKey key;
  Weight weight;
  // Shared with remote attempts and the bounce writer. Only states change, and only on the loop.
  std::shared_ptr<queue::v1::StoredEntry> stored;
  std::shared_ptr<const std::string> prefix;
  rpc::Span span;         // of the present attempt; empty when the trace is not sampled
  int in_flight = 0;      // recipients handed to somebody
  bool dirty = false;     // states differ from the journal's
  bool remote_done = false;  // some recipient left for another host: Done must not wait
  bool removed = false;   // an operator dropped it meanwhile
  bool delay_tried = false;  // to tell the sender, since it was loaded
  bool hold = false;      // an operator stopped it meanwhile
};

}  // namespace posthorn::delivery_queue
