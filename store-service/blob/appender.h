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

  struct Limits {
    uint64_t roll_bytes;
    uint64_t waiting_bytes;
    int64_t roll_ms;  // a segment is ended at this age; 0: at none
  };

  // `segment`: an open one to go on with, or null.
  Appender(SegmentSet& segments, std::shared_ptr<Segment> segment, Limits limits, Deliver deliver);
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
  // False when it is time to end.
  bool Take(std::vector<Request>& batch, std::vector<AppendDone>& refused);
  void Commit(std::vector<Request> batch);
  void Answer(std::vector<Completion> completions);
  absl::Status Write(const std::vector<Request>& batch, std::vector<BlobRef>& refs);
  absl::Status Prepare();

  SegmentSet& segments_;
  const Limits limits_;
  const Deliver deliver_;
  std::shared_ptr<Segment> segment_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Request> waiting_;
  uint64_t waiting_bytes_ = 0;
  std::vector<AppendDone> refused_;
  bool stop_ = false;
  bool roll_ = false;
  BlobStats stats_;
  std::thread thread_;
};

}  // namespace posthorn::store_service
