#pragma once

// Group commit for small messages: one thread that takes everything that waits, writes it with one
// call, syncs once, and answers all. While it syncs, the next batch collects.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store-service/blob/blob_store.h"
#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

class Appender {
 public:
  // Gets the answers of one commit; on the appender's thread.
  using Deliver = std::function<void(std::vector<Completion>)>;

  // `segment`: an open one to go on with, or null.
  Appender(SegmentSet& segments, std::shared_ptr<Segment> segment, uint64_t roll_bytes,
           Deliver deliver);
  ~Appender();  // commits what waits, then ends
  Appender(const Appender&) = delete;

  void Append(std::string body, std::string aux, AppendDone done);
  // The next commit begins a new segment.
  void Roll();
  BlobStats Stats();

 private:
  struct Request {
    std::string body;
    std::string aux;
    AppendDone done;
  };
  void Run();
  std::vector<Request> Take();
  void Commit(std::vector<Request> batch);
  absl::Status Write(const std::vector<Request>& batch, std::vector<BlobRef>& refs);
  absl::Status Prepare();

  SegmentSet& segments_;
  const uint64_t roll_bytes_;
  const Deliver deliver_;
  std::shared_ptr<Segment> segment_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Request> waiting_;
  bool stop_ = false;
  bool roll_ = false;
  BlobStats stats_;
  std::thread thread_;
};

}  // namespace posthorn::store_service
