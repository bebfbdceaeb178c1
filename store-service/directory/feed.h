#pragma once

// What callers must drop from their caches (Directory.Watch). On the store's loop.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::store_service {

struct FeedChange {
  uint64_t account = 0;
  uint64_t domain = 0;
  std::string address;
  std::string domain_name;
  bool end_sessions = false;
  bool all = false;
  uint64_t revision = 0;  // that made it so
};

class Feed {
 public:
  explicit Feed(net::Loop& loop) : more_(loop) {}
  void Push(FeedChange change);
  // One reader's place.
  class Reader {
   public:
    explicit Reader(Feed& feed) : feed_(&feed), next_(feed.end_) {}
    // All that came since the last call; waits up to `limit` for the first. Empty: nothing came
    // (heartbeat). One change with `all` when the reader fell too far behind.
    net::Task<std::vector<FeedChange>> Next(std::chrono::milliseconds limit);

   private:
    Feed* feed_;
    uint64_t next_;
  };

 private:
  static constexpr size_t kKept = 100000;
  std::deque<FeedChange> kept_;
  uint64_t end_ = 0;  // number of the next change
  net::Signal more_;
};

}  // namespace posthorn::store_service
