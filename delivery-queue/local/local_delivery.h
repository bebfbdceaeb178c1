#pragma once

// Hands copies for our own accounts to the store, in batches: one Deliver call is outstanding for each replica of the
// store, the next batch collects meanwhile. Senders take turns, so one large list never delays the others.
// Everything here runs on the loop.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::store::v1 {
class DeliverReply;
class DeliverRequest;
}  // namespace posthorn::store::v1

namespace posthorn::delivery_queue {

// The store's Deliver call, so that tests can stand in for it.
class Deliverer {
 public:
  virtual ~Deliverer() = default;
  // All deliveries of a request belong to one place.
  virtual net::Task<absl::StatusOr<store::v1::DeliverReply>> Deliver(store::v1::DeliverRequest request) = 0;
  // Which replica takes the account's mail now; 0: none is known.
  virtual uint32_t PlaceOf(uint64_t account) const = 0;
};

enum class LocalOutcome { kDelivered, kUnknownAccount, kNoBlob };

struct LocalJob {
  std::string sender;  // who takes turns
  std::string message_id;
  uint64_t account = 0;
  uint64_t blob_key = 0;
  uint64_t blob_size = 0;
  std::shared_ptr<const std::string> shared_prefix;
  std::string own_prefix;
  int64_t internal_date_ms = 0;
  int64_t accepted_ms = 0;
  std::string traceparent;  // empty: its trace is not sampled
  // Once, on the loop. Never called for a temporary failure: the job is tried again for as long as it takes.
  std::function<void(LocalOutcome)> done;
  uint32_t tries = 0;
};

class LocalDelivery {
 public:
  // `oldest_unfinished` returns the oldest message id this journal still works on (16 bytes).
  LocalDelivery(net::Loop& loop, Deliverer& deliverer, std::string journal_id,
                std::function<std::string()> oldest_unfinished);
  ~LocalDelivery();

  void Submit(LocalJob job);
  // Nothing more is handed over, no outcome told.
  void Stop() { *alive_ = false; }
  size_t waiting() const { return waiting_; }

 private:
  // What waits for one replica.
  struct Line {
    std::unordered_map<std::string, std::deque<LocalJob>> by_sender;
    std::deque<std::string> turns;  // senders with waiting jobs
    size_t waiting = 0;
    uint32_t failures = 0;  // batches in a row that brought nothing forward
    bool running = false;
  };
  enum class End { kFront, kBack };
  void Add(LocalJob job, End end);
  net::Task<void> Run(uint32_t place, std::shared_ptr<bool> alive);
  std::deque<LocalJob> TakeBatch(uint32_t place);
  std::deque<LocalJob> TakeTurn(Line& line, size_t most);
  void Finish(Line& line, std::deque<LocalJob> batch,
              const absl::StatusOr<store::v1::DeliverReply>& reply);
  void PutBack(std::deque<LocalJob> jobs);

  net::Loop& loop_;
  Deliverer& deliverer_;
  const std::string journal_id_;
  const std::function<std::string()> oldest_unfinished_;
  std::unordered_map<uint32_t, Line> lines_;  // by place
  size_t waiting_ = 0;
  std::shared_ptr<bool> alive_;
};

}  // namespace posthorn::delivery_queue
