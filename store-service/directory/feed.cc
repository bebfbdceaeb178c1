#include "store-service/directory/feed.h"

namespace posthorn::store_service {

void Feed::Push(FeedChange change) {
  kept_.push_back(std::move(change));
  if (kept_.size() > kKept) kept_.pop_front();
  ++end_;
  more_.NotifyAll();
}

net::Task<std::vector<FeedChange>> Feed::Reader::Next(std::chrono::milliseconds limit) {
  if (next_ == feed_->end_) (void)co_await feed_->more_.WaitFor(limit);
  const uint64_t first = feed_->end_ - feed_->kept_.size();
  std::vector<FeedChange> changes;
  if (next_ < first) {
    FeedChange all;
    all.all = true;
    changes.push_back(std::move(all));
  } else {
    changes.assign(feed_->kept_.begin() + static_cast<ptrdiff_t>(next_ - first),
                   feed_->kept_.end());
  }
  next_ = feed_->end_;
  co_return changes;
}

}  // namespace posthorn::store_service
