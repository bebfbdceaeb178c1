#include "delivery-queue/local/local_delivery.h"

#include <algorithm>

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
      arrived_(loop),
      alive_(std::make_shared<bool>(true)) {
  loop_.Spawn("queue.local_delivery", Run(alive_));
}

LocalDelivery::~LocalDelivery() { *alive_ = false; }

void LocalDelivery::Submit(LocalJob job) {
  std::deque<LocalJob>& jobs = by_sender_[job.sender];
  if (jobs.empty()) turns_.push_back(job.sender);
  jobs.push_back(std::move(job));
  if (++waiting_ == 1) arrived_.NotifyAll();
}

std::deque<LocalJob> LocalDelivery::TakeBatch() {
  std::deque<LocalJob> batch;
  while (batch.size() < kBatch && !turns_.empty()) {
    std::string sender = std::move(turns_.front());
    turns_.pop_front();
    const auto found = by_sender_.find(sender);
    std::deque<LocalJob>& jobs = found->second;
    for (size_t n = 0; n < kTurn && !jobs.empty() && batch.size() < kBatch; ++n) {
      batch.push_back(std::move(jobs.front()));
      jobs.pop_front();
      --waiting_;
    }
    if (jobs.empty()) {
      by_sender_.erase(found);
    } else {
      turns_.push_back(std::move(sender));
    }
  }
  return batch;
}

net::Task<void> LocalDelivery::Run(std::shared_ptr<bool> alive) {
  while (*alive) {
    if (waiting_ == 0) {
      co_await arrived_.Wait();
      continue;
    }
    std::deque<LocalJob> batch = TakeBatch();
    store::v1::DeliverRequest request = ToRequest(batch);
    request.set_journal_id(journal_id_);
    request.set_oldest_unfinished(oldest_unfinished_());
    const absl::StatusOr<store::v1::DeliverReply> reply = co_await deliverer_.Deliver(std::move(request));
    if (!*alive) co_return;
    Finish(std::move(batch), reply);
    if (failures_ == 0) continue;
    // Only a batch that brought nothing forward pauses the rest.
    co_await net::Sleep(loop_, std::min(kLongestPause, kFirstPause * (1U << std::min(failures_ - 1, 7U))));
  }
}

void LocalDelivery::Finish(std::deque<LocalJob> batch, const absl::StatusOr<store::v1::DeliverReply>& reply) {
  static observe::Counter* const kDelivered = OutcomeCounter("delivered");
  static observe::Counter* const kFailed = OutcomeCounter("failed");
  static observe::Counter* const kAgain = OutcomeCounter("again");
  if (!reply.ok() || static_cast<size_t>(reply->results_size()) != batch.size()) {
    observe::Warning("queue.deliver.away", {{"status", reply.status().ToString()}, {"waiting", waiting_}});
    kAgain->Add(static_cast<double>(batch.size()));
    ++failures_;
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
  failures_ = progress ? 0 : failures_ + 1;
  PutBack(std::move(again));
}

void LocalDelivery::PutBack(std::deque<LocalJob> jobs) {
  while (!jobs.empty()) {
    LocalJob job = std::move(jobs.back());
    jobs.pop_back();
    ++job.tries;
    std::deque<LocalJob>& waiting = by_sender_[job.sender];
    if (waiting.empty()) turns_.push_back(job.sender);
    waiting.push_front(std::move(job));
    ++waiting_;
  }
}

}  // namespace posthorn::delivery_queue
