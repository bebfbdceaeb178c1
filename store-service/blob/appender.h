#pragma once

// Group commit for small messages: one thread (or a few, where writing takes long) that takes
// everything that waits, has it written as one, and answers all. While it writes, the next batch
// collects.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store-service/blob/blob_store.h"

namespace posthorn::store_service {

struct Message {
  std::string body;
  std::string aux;
  AppendDone done;
};

// Where a batch goes.
class BatchWriter {
 public:
  virtual ~BatchWriter() = default;
  // Makes the batch durable as one and tells where each message lies. An error: none of it is kept.
  // Called on the appender's threads, by each for itself.
  virtual absl::Status Write(const std::vector<Message>& batch, std::vector<BlobRef>& refs) = 0;
};

class Appender {
 public:
  // Gets the answers of one commit; on an appender's thread.
  using Deliver = std::function<void(std::vector<Completion>)>;

  struct Limits {
    uint64_t waiting_bytes;
    uint64_t batch_bytes;  // more is left for the next commit, so that no answer waits for too much
    int threads = 1;
  };

  Appender(BatchWriter& writer, Limits limits, Deliver deliver);  // `writer` outlives it
  ~Appender();                                                    // commits what waits, then ends
  Appender(const Appender&) = delete;

  void Append(std::string body, std::string aux, AppendDone done);
  BlobStats Stats();

 private:
  void Run();
  // False when it is time to end.
  bool Take(std::vector<Message>& batch, std::vector<AppendDone>& refused);
  void Commit(std::vector<Message> batch);
  void Answer(std::vector<Completion> completions);

  BatchWriter& writer_;
  const Limits limits_;
  const Deliver deliver_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Message> waiting_;
  uint64_t waiting_bytes_ = 0;
  std::vector<AppendDone> refused_;
  bool stop_ = false;
  BlobStats stats_;
  std::vector<std::thread> threads_;
};

}  // namespace posthorn::store_service
