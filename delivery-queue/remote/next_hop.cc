#include "delivery-queue/remote/next_hop.h"

#include <algorithm>
#include <iterator>

#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {

void NextHop::Add(const RemoteJob& job) {
  // Local recipients need it, too, but not from here.
  const bool shares_body = job.entry->entry().recipients_size() > std::ssize(job.recipients) ||
                           job.recipients.size() > kMaxRecipientsPerMail;
  const auto done = std::make_shared<const std::function<void(int, RemoteOutcome)>>(job.done);
  for (const int index : job.recipients) {
    // A list of which some wait already: their letter is the last one.
    if (waiting_.empty() || waiting_.back().entry != job.entry ||
        waiting_.back().addressees.size() >= kMaxRecipientsPerMail)
      waiting_.push_back({job.entry, {}, false, shares_body, job.traceparent});
    waiting_.back().addressees.push_back({index, done});
  }
}

Letter NextHop::Take() {
  Letter letter = std::move(waiting_.front());
  waiting_.pop_front();
  return letter;
}

size_t NextHop::Wanted() const {
  const size_t waiting = waiting_.size() - std::min(waiting_.size(), idle);
  const size_t opening = workers - connected;
  const auto now_allowed = static_cast<size_t>(limit());
  const size_t free = now_allowed - std::min(now_allowed, workers);
  return std::min(free, waiting - std::min(waiting, opening));
}

void NextHop::OnGoodMessage() {
  limit_ = std::min(most, limit_ + 1 / limit_);
  back_off_ = std::chrono::milliseconds(0);
}

void NextHop::OnLost() { limit_ = std::max(1.0, limit_ / 2); }

void NextHop::OnUnreachable(RemoteOutcome outcome, Time now) {
  OnLost();
  if (LeftAlone(now) != nullptr) return;
  back_off_ = std::clamp(back_off_ * 2, kFirstBackOff, kLongestBackOff);
  not_before_ = now + back_off_;
  failure_ = std::move(outcome);
}

}  // namespace posthorn::delivery_queue
