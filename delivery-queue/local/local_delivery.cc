#include "delivery-queue/local/local_delivery.h"

#include <algorithm>
#include <utility>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "posthorn/store/v1/mailboxes.pb.h"

namespace posthorn::delivery_queue {
namespace {

constexpr size_t kBatch = 256;
constexpr size_t kTurn = 16;  // jobs of one sender before the next sender's turn
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{10000};

using store::v1::DeliveryResult;

store::v1::DeliverRequest ToRequest(const std::deque<LocalJob>& batch) {
  store::v1::DeliverRequest request;
  for (const LocalJob& job : batch) {
    store::v1::Delivery* delivery = request.add_deliveries();
    delivery->set_message_id(job.message_id);
    delivery->set_account(job.account);
    delivery->mutable_blob()->set_key(job.blob_key);
    delivery->mutable_blob()->set_size(job.blob_size);
    delivery->set_shared_prefix(*job.shared_prefix);
    delivery->set_own_prefix(job.own_prefix);
    delivery->set_internal_date_ms(job.internal_date_ms);
    delivery->set_accepted_ms(job.accepted_ms);
    delivery->set_traceparent(job.traceparent);
  }
  return request;
}

observe::Counter* OutcomeCounter(std::string_view outcome) {
  return observe::NewCounter("posthorn_queue_local_deliveries_total", "Copies handed to the store, by outcome",
                             {{"outcome", outcome}});
}

}  // namespace

LocalDelivery::LocalDelivery(net::Loop& loop, Deliverer& deliverer, std::string journal_id,
                             std::function<std::string()> oldest_unfinished)
    : loop_(loop),
      deliverer_(deliverer),
      journal_id_(std::move(journal_id)),
      oldest_unfinished_(std::move(oldest_unfinished)),
      alive_(std::make_shared<bool>(true)) {}

LocalDelivery::~LocalDelivery() { *alive_ = false; }

void LocalDelivery::Submit(LocalJob job) { Add(std::move(job), End::kBack); }

void LocalDelivery::Add(LocalJob job, End end) {
  const uint32_t place = deliverer_.PlaceOf(job.account);
  Line& line = lines_[place];
  std::deque<LocalJob>& jobs = line.by_sender[job.sender];
  if (jobs.empty()) line.turns.push_back(job.sender);
  if (end == End::kBack) {
    jobs.push_back(std::move(job));
  } else {
    jobs.push_front(std::move(job));
  }
  ++line.waiting;
  ++waiting_;
  if (std::exchange(line.running, true)) return;
  loop_.Spawn("queue.local_delivery", Run(place, alive_));
}

// The next jobs of the sender whose turn it is.
std::deque<LocalJob> LocalDelivery::TakeTurn(Line& line, size_t most) {
  std::deque<LocalJob> taken;
  std::string sender = std::move(line.turns.front());
  line.turns.pop_front();
  const auto found = line.by_sender.find(sender);
  std::deque<LocalJob>& jobs = found->second;
  while (taken.size() < most && !jobs.empty()) {
    taken.push_back(std::move(jobs.front()));
    jobs.pop_front();
    --line.waiting;
    --waiting_;
  }
  if (jobs.empty()) {
    line.by_sender.erase(found);
  } else {
    line.turns.push_back(std::move(sender));
  }
  return taken;
}

std::deque<LocalJob> LocalDelivery::TakeBatch(uint32_t place) {
  Line& line = lines_[place];
  std::deque<LocalJob> batch, moved;
  while (batch.size() < kBatch && line.waiting > 0) {
    for (LocalJob& job : TakeTurn(line, std::min(kTurn, kBatch - batch.size()))) {
      // Accounts move from one replica to another.
      (deliverer_.PlaceOf(job.account) == place ? batch : moved).push_back(std::move(job));
    }
  }
  for (LocalJob& job : moved) Add(std::move(job), End::kBack);
  return batch;
}

net::Task<void> LocalDelivery::Run(uint32_t place, std::shared_ptr<bool> alive) {
  while (*alive && lines_[place].waiting > 0) {
    std::deque<LocalJob> batch = TakeBatch(place);
    if (batch.empty()) continue;
    if (place == 0) {
      PutBack(std::move(batch));
      co_await net::Sleep(loop_, kFirstPause);
      continue;
    }
    store::v1::DeliverRequest request = ToRequest(batch);
    request.set_journal_id(journal_id_);
    request.set_oldest_unfinished(oldest_unfinished_());
    const absl::StatusOr<store::v1::DeliverReply> reply = co_await deliverer_.Deliver(std::move(request));
    if (!*alive) co_return;
    Finish(lines_[place], std::move(batch), reply);
    const uint32_t failures = lines_[place].failures;
    if (failures == 0) continue;
    // Only a batch that brought nothing forward pauses the rest.
    co_await net::Sleep(loop_, std::min(kLongestPause, kFirstPause * (1U << std::min(failures - 1, 7U))));
  }
  if (*alive) lines_[place].running = false;
}

void LocalDelivery::Finish(Line& line, std::deque<LocalJob> batch,
                           const absl::StatusOr<store::v1::DeliverReply>& reply) {
  static observe::Counter* const kDelivered = OutcomeCounter("delivered");
  static observe::Counter* const kFailed = OutcomeCounter("failed");
  static observe::Counter* const kAgain = OutcomeCounter("again");
  if (!reply.ok() || static_cast<size_t>(reply->results_size()) != batch.size()) {
    observe::Warning("queue.deliver.away", {{"status", reply.status().ToString()}, {"waiting", waiting_}});
    kAgain->Add(static_cast<double>(batch.size()));
    ++line.failures;
    PutBack(std::move(batch));
    return;
  }
  std::deque<LocalJob> again;
  bool progress = false;
  for (size_t i = 0; i < batch.size(); ++i) {
    const DeliveryResult::Outcome outcome = reply->results(static_cast<int>(i)).outcome();
    if (outcome == DeliveryResult::LATER || outcome == DeliveryResult::OUTCOME_UNSPECIFIED) {
      kAgain->Add();
      again.push_back(std::move(batch[i]));
      continue;
    }
    progress = true;
    (outcome == DeliveryResult::DELIVERED ? kDelivered : kFailed)->Add();
    batch[i].done(outcome == DeliveryResult::DELIVERED         ? LocalOutcome::kDelivered
                  : outcome == DeliveryResult::UNKNOWN_ACCOUNT ? LocalOutcome::kUnknownAccount
                                                               : LocalOutcome::kNoBlob);
  }
  line.failures = progress ? 0 : line.failures + 1;
  PutBack(std::move(again));
}

void LocalDelivery::PutBack(std::deque<LocalJob> jobs) {
  while (!jobs.empty()) {
    LocalJob job = std::move(jobs.back());
    jobs.pop_back();
    ++job.tries;
    Add(std::move(job), End::kFront);
  }
}

}  // namespace posthorn::delivery_queue
